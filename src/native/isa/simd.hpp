// Vectors of one instruction set, by the compiler's vector extensions; compiled once for each set.
//
// Everything here and in the other headers of this folder lives in the namespace RECURRA_ISA, so that code for one
// processor never gets linked into the kernels for another. For the same reason nothing of the standard library that
// could be compiled out of line is used in this folder.
#pragma once

#include <cstdint>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#ifndef RECURRA_ISA
#error "RECURRA_ISA names the instruction set, for example avx2"
#endif

#define RECURRA_INLINE inline __attribute__((always_inline))
#define RECURRA_LAMBDA __attribute__((always_inline))
#define RECURRA_RESTRICT __restrict__

namespace recurra {
namespace RECURRA_ISA {

using i64 = int64_t;

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr bool kManyRegisters = true;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr bool kManyRegisters = false;
#else
constexpr int kVectorBytes = 16;
#if defined(__aarch64__)
constexpr bool kManyRegisters = true;
#else
constexpr bool kManyRegisters = false;
#endif
#endif

template <class T>
struct Simd;

template <>
struct Simd<float> {
  typedef float V __attribute__((vector_size(kVectorBytes)));
  typedef float U __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t N __attribute__((vector_size(kVectorBytes)));
  typedef uint32_t B __attribute__((vector_size(kVectorBytes)));
  using Int = int32_t;
};

template <>
struct Simd<double> {
  typedef double V __attribute__((vector_size(kVectorBytes)));
  typedef double U __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t N __attribute__((vector_size(kVectorBytes)));
  typedef uint64_t B __attribute__((vector_size(kVectorBytes)));
  using Int = int64_t;
};

template <class T>
using Vec = typename Simd<T>::V;

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// function(std::integral_constant<int, 0>) ... function(std::integral_constant<int, N - 1>): indices known when
// compiling, without which gcc keeps arrays of vectors in memory.
template <class F, int... i>
RECURRA_INLINE constexpr void unroll_list(F&& function, std::integer_sequence<int, i...>) {
  (function(std::integral_constant<int, i>{}), ...);
}
template <int N, class F>
RECURRA_INLINE constexpr void unroll(F&& function) {
  unroll_list(function, std::make_integer_sequence<int, N>{});
}

template <class T, int... i>
RECURRA_INLINE Vec<T> broadcast_list(T value, std::integer_sequence<int, i...>) {
  return Vec<T>{(static_cast<void>(i), value)...};
}
template <class T>
RECURRA_INLINE Vec<T> broadcast(T value) {
  return broadcast_list<T>(value, std::make_integer_sequence<int, kLanes<T>>{});
}

template <class T>
RECURRA_INLINE Vec<T> load(const T* source) {
  return *reinterpret_cast<const typename Simd<T>::U*>(source);
}
template <class T>
RECURRA_INLINE void store(T* target, Vec<T> value) {
  *reinterpret_cast<typename Simd<T>::U*>(target) = value;
}

#if defined(__AVX512F__)
RECURRA_INLINE Vec<float> load_some(const float* source, int count) {
  return (Vec<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), source);
}
RECURRA_INLINE void store_some(float* target, Vec<float> value, int count) {
  _mm512_mask_storeu_ps(target, static_cast<__mmask16>((1u << count) - 1), (__m512)value);
}
RECURRA_INLINE Vec<double> load_some(const double* source, int count) {
  return (Vec<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), source);
}
RECURRA_INLINE void store_some(double* target, Vec<double> value, int count) {
  _mm512_mask_storeu_pd(target, static_cast<__mmask8>((1u << count) - 1), (__m512d)value);
}
#elif defined(__AVX2__)
alignas(32) static const int32_t kMasks[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
RECURRA_INLINE __m256i mask_of(int count32) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMasks + 8 - count32));
}
RECURRA_INLINE Vec<float> load_some(const float* source, int count) {
  return (Vec<float>)_mm256_maskload_ps(source, mask_of(count));
}
RECURRA_INLINE void store_some(float* target, Vec<float> value, int count) {
  _mm256_maskstore_ps(target, mask_of(count), (__m256)value);
}
RECURRA_INLINE Vec<double> load_some(const double* source, int count) {
  return (Vec<double>)_mm256_maskload_pd(source, mask_of(2 * count));
}
RECURRA_INLINE void store_some(double* target, Vec<double> value, int count) {
  _mm256_maskstore_pd(target, mask_of(2 * count), (__m256d)value);
}
#else
template <class T>
RECURRA_INLINE Vec<T> load_some(const T* source, int count) {
  Vec<T> value{};
  for (int i = 0; i < count; i++) value[i] = source[i];
  return value;
}
template <class T>
RECURRA_INLINE void store_some(T* target, Vec<T> value, int count) {
  for (int i = 0; i < count; i++) target[i] = value[i];
}
#endif

// `count` of kLanes values at most; kFull says that it is kLanes.
template <bool kFull, class T>
RECURRA_INLINE Vec<T> load_part(const T* source, int count) {
  if constexpr (kFull) return load(source);
  return load_some(source, count);
}
template <bool kFull, class T>
RECURRA_INLINE void store_part(T* target, Vec<T> value, int count) {
  if constexpr (kFull) {
    store(target, value);
  } else {
    store_some(target, value, count);
  }
}

// The upper half of a float: weights may be stored so, to be read in half the time.
struct BFloat16 {
  uint16_t bits;
};

// To the nearest, ties to even; a NaN stays one.
inline BFloat16 round_to_half(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if (value != value) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

// kLanes<T> stored weights as numbers to compute with.
template <class T>
RECURRA_INLINE Vec<T> load_weights(const T* source) {
  return load(source);
}
template <class T>
RECURRA_INLINE Vec<T> load_weights(const BFloat16* source) {
  static_assert(sizeof(T) == 4, "stored for float only");
  typedef uint16_t Halves __attribute__((vector_size(kVectorBytes / 2), aligned(2), may_alias));
  const Halves halves = *reinterpret_cast<const Halves*>(source);
  return (Vec<T>)(__builtin_convertvector(halves, typename Simd<T>::B) << 16);
}

// Fetch `count` cache lines, `stride` values apart.
template <int count, class T>
RECURRA_INLINE void fetch(const T* source, i64 stride) {
  unroll<count>([&](auto i) RECURRA_LAMBDA { __builtin_prefetch(source + i * stride); });
}

// function(offset, count, full) over `size` values, vector by vector; `full` is a compile-time truth value.
template <class T, class F>
RECURRA_INLINE void for_vectors(i64 begin, i64 end, F&& function) {
  i64 j = begin;
  for (; j + kLanes<T> <= end; j += kLanes<T>) function(j, kLanes<T>, std::true_type{});
  if (j < end) function(j, static_cast<int>(end - j), std::false_type{});
}

template <int kStage, class T, int... i>
RECURRA_INLINE Vec<T> fold(Vec<T> value, std::integer_sequence<int, i...> lanes) {
  value += __builtin_shufflevector(value, value, (i ^ kStage)...);
  if constexpr (kStage > 1) return fold<kStage / 2, T>(value, lanes);
  return value;
}
template <class T>
RECURRA_INLINE T sum(Vec<T> value) {
  return fold<kLanes<T> / 2, T>(value, std::make_integer_sequence<int, kLanes<T>>{})[0];
}

RECURRA_INLINE i64 min(i64 a, i64 b) { return a < b ? a : b; }
RECURRA_INLINE i64 max(i64 a, i64 b) { return a > b ? a : b; }
RECURRA_INLINE i64 round_up(i64 value, i64 step) { return (value + step - 1) / step * step; }
RECURRA_INLINE i64 divide_up(i64 value, i64 step) { return (value + step - 1) / step; }

template <class T>
RECURRA_INLINE void copy(T* target, const T* source, i64 size) {
  for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    store_part<decltype(full)::value>(target + j, load_part<decltype(full)::value>(source + j, n), n);
  });
}
template <class T>
RECURRA_INLINE void clear(T* target, i64 size) {
  for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    store_part<decltype(full)::value>(target + j, Vec<T>{}, n);
  });
}

// Rows of kLanes values -> columns, in registers: log2(kLanes) rounds of exchanging halves.
template <int kStage, class T, int... i>
RECURRA_INLINE void exchange(Vec<T>& low, Vec<T>& high, std::integer_sequence<int, i...>) {
  constexpr int N = kLanes<T>;
  const Vec<T> a = low, b = high;
  low = __builtin_shufflevector(a, b, ((i & kStage) ? N + i - kStage : i)...);
  high = __builtin_shufflevector(a, b, ((i & kStage) ? N + i : i + kStage)...);
}
template <int kStage, class T>
RECURRA_INLINE void transpose_stage(Vec<T>* rows) {
  if constexpr (kStage > 0) {
    unroll<kLanes<T>>([&](auto i) RECURRA_LAMBDA {
      if constexpr ((i & kStage) == 0) {
        exchange<kStage, T>(rows[i], rows[i + kStage], std::make_integer_sequence<int, kLanes<T>>{});
      }
    });
    transpose_stage<kStage / 2, T>(rows);
  }
}
template <class T>
RECURRA_INLINE void transpose(Vec<T>* rows) {
  transpose_stage<kLanes<T> / 2, T>(rows);
}

// ---- sigmoid and tanh ----------------------------------------------------------------------------------------------
// 2^y for y = x * scale: y = n + r with n whole and |r| <= 1/2; 2^r - 1 = r P(r), P interpolated at Chebyshev's points.

template <class T>
struct Exp2;
template <>
struct Exp2<float> {
  static constexpr int kDegree = 5, kShift = 23;
  static constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  static constexpr float kSigmoidLimit = 87.0f, kTanhLimit = 9.1f;
  static constexpr float kPolynomial[kDegree + 1] = {0.6931471880293429f,   0.24022650922342756f,  0.05550357104252919f,
                                                     0.009618056669884323f, 0.0013390867351418068f,
                                                     0.00015461447463419292f};
};
template <>
struct Exp2<double> {
  static constexpr int kDegree = 10, kShift = 52;
  static constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kSigmoidLimit = 708.0, kTanhLimit = 20.0;
  static constexpr double kPolynomial[kDegree + 1] = {
      0.6931471805599456,    0.24022650695910178,    0.05550410866482461,   0.009618129107579934,
      0.0013333558144969244, 0.00015403530474415852, 1.5252735851250375e-05, 1.321542487511659e-06,
      1.0176982190237946e-07, 7.076009289484634e-09, 4.6509705876279553e-10};
};

// NaN passes through.
template <class T>
RECURRA_INLINE Vec<T> clamp(Vec<T> x, T limit) {
  const Vec<T> high = broadcast<T>(limit), low = broadcast<T>(-limit);
  x = high < x ? high : x;
  return low > x ? low : x;
}

// numerator / denominator, the denominator finite and at least 1.
RECURRA_INLINE Vec<double> divide(Vec<double> numerator, Vec<double> denominator) { return numerator / denominator; }
#if defined(__AVX512F__)
RECURRA_INLINE Vec<float> divide(Vec<float> numerator, Vec<float> denominator) {
  // 14 bits and one Newton step; the division itself would take longer than all the rest of an activation.
  const Vec<float> guess = (Vec<float>)_mm512_maskz_rcp14_ps(static_cast<__mmask16>(-1), (__m512)denominator);
  const Vec<float> quotient = numerator * guess;
  return quotient + guess * (numerator - quotient * denominator);
}
#else
RECURRA_INLINE Vec<float> divide(Vec<float> numerator, Vec<float> denominator) { return numerator / denominator; }
#endif

constexpr double kLog2E = 1.4426950408889634074;

// The activations of N vectors in place, the operations side by side so that none waits for another: tanh where bit i of
// kTanhs is 1, else sigmoid. A NaN stays one.
template <class T, int N, unsigned kTanhs>
RECURRA_INLINE void activate(Vec<T>* x) {
  using E = Exp2<T>;
  using Bits = typename Simd<T>::N;
  Vec<T> shifted[N], r[N], p[N];
  unroll<N>([&](auto i) RECURRA_LAMBDA {
    x[i] = clamp<T>(x[i], kTanhs >> i & 1 ? E::kTanhLimit : E::kSigmoidLimit);
  });
  unroll<N>([&](auto i) RECURRA_LAMBDA {
    constexpr T kScale = static_cast<T>(kTanhs >> i & 1 ? 2 * kLog2E : -kLog2E);
    shifted[i] = x[i] * kScale + E::kMagic;
  });
  unroll<N>([&](auto i) RECURRA_LAMBDA {
    constexpr T kScale = static_cast<T>(kTanhs >> i & 1 ? 2 * kLog2E : -kLog2E);
    r[i] = x[i] * kScale - (shifted[i] - E::kMagic);
    p[i] = broadcast<T>(E::kPolynomial[E::kDegree]);
  });
  unroll<E::kDegree>([&](auto d) RECURRA_LAMBDA {
    unroll<N>([&](auto i) RECURRA_LAMBDA { p[i] = p[i] * r[i] + E::kPolynomial[E::kDegree - 1 - d]; });
  });
  unroll<N>([&](auto i) RECURRA_LAMBDA {
    const Vec<T> fraction = p[i] * r[i];
    const Vec<T> power = (Vec<T>)(((Bits)shifted[i] << E::kShift) + (Bits)broadcast<T>(1));
    if constexpr (kTanhs >> i & 1) {
      p[i] = fraction * power + (power - T(1));  // e^2x - 1
      r[i] = p[i] + T(2);
    } else {
      p[i] = broadcast<T>(1);
      r[i] = fraction * power + (power + T(1));  // 1 + e^-x
    }
  });
  unroll<N>([&](auto i) RECURRA_LAMBDA { x[i] = divide(p[i], r[i]); });
}

template <class T>
RECURRA_INLINE Vec<T> sigmoid(Vec<T> x) {
  activate<T, 1, 0>(&x);
  return x;
}
template <class T>
RECURRA_INLINE Vec<T> tanh(Vec<T> x) {
  activate<T, 1, 1>(&x);
  return x;
}

// ---- zoneout's draws -----------------------------------------------------------------------------------------------
// A hash of (seed, step, row, leaf, unit), so that backward and the plain torch reference draw the same.

RECURRA_INLINE uint32_t row_key(uint64_t seed, uint64_t number) {
  uint64_t z = seed + (number + 1) * 0x9E3779B97F4A7C15ull;  // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<uint32_t>(z ^ (z >> 31));
}

// True where unit `first` + lane keeps its old value: its hash is at most `highest`.
template <class T>
RECURRA_INLINE typename Simd<T>::N draw_kept(uint32_t key, i64 first, uint32_t highest) {
  using B = typename Simd<T>::B;
  B v;
  for (int i = 0; i < kLanes<T>; i++) v[i] = key + static_cast<uint32_t>(first + i) * 0x9E3779B9u;
  constexpr uint32_t kLow = 0xffffffffu;
  v ^= v >> 16;
  v = (v * 0x7feb352du) & kLow;
  v ^= v >> 15;
  v = (v * 0x846ca68bu) & kLow;
  v ^= v >> 16;
  return v <= B{} + highest;
}

}  // namespace RECURRA_ISA
}  // namespace recurra
