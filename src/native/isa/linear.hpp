// The linear recurrence h_t = a_t h_{t-1} + b_t, real or complex, channel by channel: bound by memory alone.
//
// A thread goes through the steps of a row with all its channels at once, so that it reads and writes memory straight
// on; the state waits in L1. Keeping a few channels in registers and taking the others later took up to twice the time.
#pragma once

#include "../threads.hpp"
#include "simd.hpp"

namespace recurra {
namespace RECURRA_ISA {

// Products of vectors of numbers; complex ones are pairs (real, imaginary) side by side.
template <class T, bool kComplex>
struct Numbers {
  template <int... i>
  static RECURRA_INLINE Vec<T> swapped(Vec<T> v, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i ^ 1)...);
  }
  template <int... i>
  static RECURRA_INLINE Vec<T> reals(Vec<T> v, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i & ~1)...);
  }
  template <int... i>
  static RECURRA_INLINE Vec<T> imaginaries(Vec<T> v, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(v, v, (i | 1)...);
  }
  template <int... i>
  static RECURRA_INLINE Vec<T> signs(std::integer_sequence<int, i...>) {
    return Vec<T>{(i & 1 ? T(1) : T(-1))...};
  }

  // x y + z, with `conjugate` conj(x) y + z.
  template <bool conjugate = false>
  static RECURRA_INLINE Vec<T> multiply_add(Vec<T> x, Vec<T> y, Vec<T> z) {
    if constexpr (!kComplex) {
      return x * y + z;
    } else {
      constexpr auto lanes = std::make_integer_sequence<int, kLanes<T>>{};
      const Vec<T> across = imaginaries(x, lanes) * swapped(y, lanes) * signs(lanes);
      return reals(x, lanes) * y + (conjugate ? z - across : z + across);
    }
  }
};

// Past the caches, to memory: what is too large to be found there again need not be read in before it is overwritten.
#if defined(__x86_64__)
constexpr bool kStreams = true;
#else
constexpr bool kStreams = false;
#endif
template <class T>
RECURRA_INLINE void stream(T* target, Vec<T> value) {
#if defined(__AVX512F__)
  _mm512_stream_ps(reinterpret_cast<float*>(target), (__m512)value);
#elif defined(__AVX2__)
  _mm256_stream_ps(reinterpret_cast<float*>(target), (__m256)value);
#elif defined(__x86_64__)
  _mm_stream_ps(reinterpret_cast<float*>(target), (__m128)value);
#else
  store(target, value);
#endif
}

// Values of a row's channels that wait for the next step: of one vector in a register, else in L1.
template <class T, bool kFull>
struct OneVector {
  explicit OneVector(i64 width) : width_(static_cast<int>(width)) {}
  template <class F>
  RECURRA_INLINE void each(bool, F&& function) {
    function(i64{0}, width_, std::bool_constant<kFull>{}, value_);
  }

 private:
  Vec<T> value_{};
  int width_;
};
template <class T, i64 kMost>
struct ManyVectors {
  explicit ManyVectors(i64 width) : width_(width) {}
  // `down`: from the last channel to the first, for rows that run from their last step to their first. Caches fetch
  // ahead of a walk through memory only where it keeps its direction.
  template <class F>
  RECURRA_INLINE void each(bool down, F&& function) {
    const auto one = [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      Vec<T> value = load(values_ + j);
      function(j, n, full, value);
      store(values_ + j, value);
    };
    if (!down) return for_vectors<T>(0, width_, one);
    const i64 rest = width_ % kLanes<T>;
    if (rest > 0) one(width_ - rest, static_cast<int>(rest), std::false_type{});
    for (i64 j = width_ - rest - kLanes<T>; j >= 0; j -= kLanes<T>) one(j, kLanes<T>, std::true_type{});
  }

 private:
  alignas(64) T values_[kMost];
  i64 width_;
};

template <class T, bool kComplex>
class Linear {
 public:
  explicit Linear(const LinearProblem& problem) : p_(problem), size_(problem.D * (kComplex ? 2 : 1)) {}

  void run(bool backward) {
    backward_ = backward;
    down_ = (p_.reverse != 0) != backward;
    const i64 arrays = backward ? 5 : 3, bytes = arrays * p_.B * p_.T * size_ * i64{sizeof(T)};
    streams_ = kStreams && bytes >= kLarge && size_ % kLanes<T> == 0 && (p_.h | p_.da | p_.db) % kVectorBytes == 0;
    fetches_ = bytes >= kMiddling;
    const i64 units = p_.B * units_of_row();
    num_threads_ = units * p_.T < kSmall ? 1 : static_cast<int>(min(max(p_.threads, 1), units));
    run_parallel(num_threads_, [](int index, void* self) { static_cast<Linear*>(self)->work(index); }, this);
  }

 private:
  using N = Numbers<T, kComplex>;
  static constexpr i64 kUnit = 64 / sizeof(T);  // scalars of a cache line: threads part all channels by these
  static constexpr i64 kBlock = 2048;           // scalars of a step that are taken at once, at most
  static constexpr i64 kSmall = 4096;           // cache lines that are not worth a second thread
  static constexpr i64 kMiddling = 8 << 20;     // bytes of all arrays that are far enough away to be fetched ahead
  static constexpr i64 kLarge = 12 << 20;       // bytes of all arrays that a cache will not keep
  static constexpr i64 kAhead = 16384;          // bytes that are fetched before they are wanted

  // Some channels of a row: their number, and what stands at the first of them.
  struct Part {
    i64 b, first, width, length;
  };

  i64 units_of_row() const { return divide_up(size_, kUnit); }

  void work(int index) const {
    const i64 in_row = units_of_row(), all = p_.B * in_row, end = all * (index + 1) / num_threads_;
    for (i64 u = all * index / num_threads_, count; u < end; u += count) {
      const i64 b = u / in_row, first = u % in_row * kUnit;
      count = min(min(in_row - u % in_row, end - u), kBlock / kUnit);
      const i64 length = p_.lengths ? min(max(at<const i64>(p_.lengths)[b], 0), p_.T) : p_.T;
      const Part part{b, first, min(count * kUnit, size_ - first), length};
      if (part.width > 2 * kLanes<T>) {
        run_part<ManyVectors<T, kBlock>>(part);
        continue;
      }
      for_vectors<T>(0, part.width, [&](i64 j, int n, auto full) {
        run_part<OneVector<T, decltype(full)::value>>({b, first + j, n, length});
      });
    }
#if defined(__x86_64__)
    if (streams_) _mm_sfence();
#endif
  }

  template <class Values>
  void run_part(const Part& part) const {
    backward_ ? backward<Values>(part) : forward<Values>(part);
  }

  template <class Values>
  void forward(const Part& part) const {
    Values h(part.width);
    const bool streams = streams_, fetches = fetches_;
    const i64 ahead = steps_ahead(2, part);
    fill(h, of_row(p_.h0, part));
    for (i64 step = 0; step < part.length; step++) {
      const i64 t = time(step, part);
      if (starts_afresh(t, part)) fill(h, of_row(p_.h_init, part));
      const T* a = of_step(p_.a, p_.a_b, p_.a_t, t, part);
      const T* x = of_step(p_.b, p_.b_b, p_.b_t, t, part);
      const T *next_a = a + ahead * p_.a_t, *next_x = x + ahead * p_.b_t;
      T* target = of_step(p_.h, t, part);
      h.each(down_, [&](i64 j, int n, auto full, Vec<T>& value) RECURRA_LAMBDA {
        constexpr bool kFull = decltype(full)::value;
        fetch(fetches, j, next_a, next_x);
        value = N::multiply_add(load_part<kFull>(a + j, n), value, load_part<kFull>(x + j, n));
        put<kFull>(target + j, value, n, streams);
      });
    }
    clear_padding(p_.h, part);
    write(of_row(p_.h_T, part), h);
  }

  template <class Values>
  void backward(const Part& part) const {
    Values g(part.width);
    alignas(64) T zeros[kBlock];
    clear(zeros, part.width);
    fill(g, of_row(p_.dh_T, part));
    if (p_.dh_init) clear(of_row(p_.dh_init, part), part.width);
    if (p_.da && !p_.da_t) clear(of_row(p_.da, part), part.width);
    const bool sums = p_.da_t == 0, streams = streams_, fetches = fetches_;
    const i64 ahead = steps_ahead(3, part);
    for (i64 step = part.length - 1; step >= 0; step--) {
      const i64 t = time(step, part);
      const bool afresh = starts_afresh(t, part);
      const T* a = of_step(p_.a, p_.a_b, p_.a_t, t, part);
      const T* dh = p_.dh ? of_step(p_.dh, p_.dh_b, p_.dh_t, t, part) : zeros;
      const T* before = afresh     ? of_row(p_.h_init, part)
                        : step > 0 ? of_step(p_.h, time(step - 1, part), part)
                                   : of_row(p_.h0, part);
      if (!before) before = zeros;
      const T *next_a = a + ahead * p_.a_t, *next_dh = dh + ahead * p_.dh_t, *next_before = before + ahead * size_;
      T* db = p_.db ? of_step(p_.db, t, part) : nullptr;
      T* da = !p_.da ? nullptr : p_.da_t ? of_step(p_.da, t, part) : of_row(p_.da, part);
      g.each(down_, [&](i64 j, int n, auto full, Vec<T>& value) RECURRA_LAMBDA {
        constexpr bool kFull = decltype(full)::value;
        fetch(fetches, j, next_a, next_dh, next_before);
        value += load_part<kFull>(dh + j, n);
        if (db) put<kFull>(db + j, value, n, streams);
        if (da) {
          const Vec<T> sum = sums ? load_part<kFull>(da + j, n) : Vec<T>{};
          const Vec<T> product = N::template multiply_add<true>(load_part<kFull>(before + j, n), value, sum);
          put<kFull>(da + j, product, n, streams && !sums);
        }
        value = N::template multiply_add<true>(load_part<kFull>(a + j, n), value, Vec<T>{});
      });
      if (afresh) {
        if (p_.dh_init) add(of_row(p_.dh_init, part), g);
        fill(g, static_cast<const T*>(nullptr));
      }
    }
    if (p_.db) clear_padding(p_.db, part);
    if (p_.da && p_.da_t) clear_padding(p_.da, part);
    write(of_row(p_.dh0, part), g);
  }

  i64 time(i64 step, const Part& part) const { return p_.reverse ? part.length - 1 - step : step; }

  // How far ahead to fetch each of so many arrays, in steps: on its own a processor does not follow a walk that leaves
  // out the channels of other threads.
  i64 steps_ahead(i64 arrays, const Part& part) const {
    const i64 steps = max(1, kAhead / (arrays * part.width * i64{sizeof(T)}));
    return down_ ? -steps : steps;
  }
  template <class... Arrays>
  static RECURRA_INLINE void fetch(bool wanted, i64 j, Arrays... arrays) {
    if (wanted && j % kUnit == 0) (__builtin_prefetch(arrays + j), ...);
  }

  // Whether the state before step t is the initial one: a reset parts two steps, whichever way the row runs.
  bool starts_afresh(i64 t, const Part& part) const {
    const i64 border = p_.reverse ? t + 1 : t;
    return p_.reset && border < part.length && at<const bool>(p_.reset)[part.b * p_.T + border];
  }

  template <class C>
  static C* at(i64 address) {
    return reinterpret_cast<C*>(address);
  }
  T* of_row(i64 address, const Part& part) const {  // (B, D)
    return address ? at<T>(address) + part.b * size_ + part.first : nullptr;
  }
  T* of_step(i64 address, i64 t, const Part& part) const {  // (B, T, D)
    return at<T>(address) + (part.b * p_.T + t) * size_ + part.first;
  }
  static const T* of_step(i64 address, i64 stride_b, i64 stride_t, i64 t, const Part& part) {
    return at<const T>(address) + part.b * stride_b + t * stride_t + part.first;
  }

  void clear_padding(i64 address, const Part& part) const {
    for (i64 t = part.length; t < p_.T; t++) clear(of_step(address, t, part), part.width);
  }
  template <bool kFull>
  static RECURRA_INLINE void put(T* target, Vec<T> value, int n, bool streams) {
    if constexpr (kFull) {
      if (streams) return stream(target, value);
    }
    store_part<kFull>(target, value, n);
  }
  template <class Values>
  static void fill(Values& values, const T* source) {
    values.each(false, [&](i64 j, int n, auto full, Vec<T>& value) RECURRA_LAMBDA {
      value = source ? load_part<decltype(full)::value>(source + j, n) : Vec<T>{};
    });
  }
  template <class Values>
  static void write(T* target, Values& values) {
    if (!target) return;
    values.each(false, [&](i64 j, int n, auto full, Vec<T>& value) RECURRA_LAMBDA {
      store_part<decltype(full)::value>(target + j, value, n);
    });
  }
  template <class Values>
  static void add(T* target, Values& values) {
    values.each(false, [&](i64 j, int n, auto full, Vec<T>& value) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      store_part<kFull>(target + j, load_part<kFull>(target + j, n) + value, n);
    });
  }

  const LinearProblem& p_;
  const i64 size_;  // scalars of a step
  int num_threads_ = 1;
  bool backward_ = false, down_ = false, fetches_ = false, streams_ = false;
};

template <class T>
void linear_forward(const LinearProblem& problem) {
  problem.complex ? Linear<T, true>(problem).run(false) : Linear<T, false>(problem).run(false);
}
template <class T>
void linear_backward(const LinearProblem& problem) {
  problem.complex ? Linear<T, true>(problem).run(true) : Linear<T, false>(problem).run(true);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
