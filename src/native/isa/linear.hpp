// The linear recurrence h_t = a_t h_{t-1} + b_t, real or complex, channel by channel: bound by memory alone.
#pragma once

#include "../threads.hpp"
#include "simd.hpp"

namespace recurra {
namespace RECURRA_ISA {

constexpr int kLinearVectors = 4;  // of channels that go through the steps together

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

template <class T, bool kComplex>
class Linear {
 public:
  explicit Linear(const LinearProblem& problem) : p_(problem), size_(problem.D * (kComplex ? 2 : 1)) {}

  void run(bool backward) {
    backward_ = backward;
    const i64 work = p_.B * p_.T * size_;
    num_threads_ = work < 65536 ? 1 : static_cast<int>(min(max(p_.threads, 1), p_.B * num_blocks()));
    run_parallel(num_threads_, [](int index, void* self) { static_cast<Linear*>(self)->work(index); }, this);
  }

 private:
  using N = Numbers<T, kComplex>;
  static constexpr i64 kBlock = kLinearVectors * kLanes<T>;

  i64 num_blocks() const { return divide_up(size_, kBlock); }
  i64 time(i64 step) const { return p_.reverse ? p_.T - 1 - step : step; }
  template <class C>
  static C* at(i64 address) {
    return reinterpret_cast<C*>(address);
  }

  void work(int index) {
    const i64 units = p_.B * num_blocks();
    for (i64 u = units * index / num_threads_; u < units * (index + 1) / num_threads_; u++) {
      const i64 b = u / num_blocks(), first = u % num_blocks() * kBlock, width = min(kBlock, size_ - first);
      if (width == kBlock) {
        backward_ ? backward<kLinearVectors, true>(b, first, kLanes<T>) : forward<kLinearVectors, true>(b, first, kLanes<T>);
        continue;
      }
      for (i64 j = 0; j < width; j += kLanes<T>) {
        const int n = static_cast<int>(min(kLanes<T>, width - j));
        if (n == kLanes<T>) {
          backward_ ? backward<1, true>(b, first + j, n) : forward<1, true>(b, first + j, n);
        } else {
          backward_ ? backward<1, false>(b, first + j, n) : forward<1, false>(b, first + j, n);
        }
      }
    }
  }

  template <int kVectors, bool kFull>
  void forward(i64 b, i64 first, int n) const {
    constexpr int W = kLanes<T>;
    const T* start = p_.h0 ? at<const T>(p_.h0) + b * size_ + first : nullptr;
    Vec<T> h[kVectors];
    unroll<kVectors>([&](auto v) RECURRA_LAMBDA { h[v] = start ? load_part<kFull>(start + v * W, n) : Vec<T>{}; });
    for (i64 step = 0; step < p_.T; step++) {
      const i64 t = time(step);
      const T *a = at<const T>(p_.a) + b * p_.a_b + t * p_.a_t + first, *x = at<const T>(p_.b) + b * p_.b_b + t * p_.b_t + first;
      T* target = at<T>(p_.h) + (b * p_.T + t) * size_ + first;
      unroll<kVectors>([&](auto v) RECURRA_LAMBDA {
        h[v] = N::multiply_add(load_part<kFull>(a + v * W, n), h[v], load_part<kFull>(x + v * W, n));
        store_part<kFull>(target + v * W, h[v], n);
      });
    }
  }

  template <int kVectors, bool kFull>
  void backward(i64 b, i64 first, int n) const {
    constexpr int W = kLanes<T>;
    const T* start = p_.h0 ? at<const T>(p_.h0) + b * size_ + first : nullptr;
    Vec<T> g[kVectors];
    unroll<kVectors>([&](auto v) RECURRA_LAMBDA { g[v] = Vec<T>{}; });
    for (i64 step = p_.T - 1; step >= 0; step--) {
      const i64 t = time(step), place = (b * p_.T + t) * size_ + first;
      const T *a = at<const T>(p_.a) + b * p_.a_b + t * p_.a_t + first, *dh = at<const T>(p_.dh) + b * p_.dh_b + t * p_.dh_t + first;
      const T* before = step > 0 ? at<const T>(p_.h) + (b * p_.T + time(step - 1)) * size_ + first : start;
      unroll<kVectors>([&](auto v) RECURRA_LAMBDA {
        g[v] += load_part<kFull>(dh + v * W, n);
        if (p_.db) store_part<kFull>(at<T>(p_.db) + place + v * W, g[v], n);
        if (p_.da) {
          const Vec<T> h = before ? load_part<kFull>(before + v * W, n) : Vec<T>{};
          store_part<kFull>(at<T>(p_.da) + place + v * W, N::template multiply_add<true>(h, g[v], Vec<T>{}), n);
        }
        g[v] = N::template multiply_add<true>(load_part<kFull>(a + v * W, n), g[v], Vec<T>{});
      });
    }
    if (!p_.dh0) return;
    unroll<kVectors>([&](auto v) RECURRA_LAMBDA {
      store_part<kFull>(at<T>(p_.dh0) + b * size_ + first + v * W, g[v], n);
    });
  }

  const LinearProblem& p_;
  const i64 size_;  // scalars of a step
  int num_threads_ = 1;
  bool backward_ = false;
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
