// Matrix products of a few rows with packed weights, in registers.
//
// Packed weights stand in panels of 1 to 4 vectors of columns: for each k the columns side by side, so that the inner
// loop reads them in order. A block of rows times a panel stays in registers for the whole of k.
#pragma once

#include "simd.hpp"

namespace recurra {
namespace RECURRA_ISA {

constexpr int kPanelVectors = 4;
// Rows of a block, by vectors of its panel: as many as the registers hold beside the operands.
constexpr int kBlockRows[kPanelVectors + 1] = {0, kManyRegisters ? 8 : 6, kManyRegisters ? 8 : 6,
                                               kManyRegisters ? 8 : 4, kManyRegisters ? 6 : 3};
constexpr int kMaxBlockRows = 8;
// A panel's part that stays in the first-level cache while all blocks of rows pass over it.
constexpr i64 kPanelBytes = 32 * 1024;
constexpr i64 kNearBytes = 512 * 1024;  // of weights that stay in the second-level cache

// Rows of numbers: row r starts at data + r * stride and has `size` of them.
template <class T>
struct Rows {
  const T* data = nullptr;
  i64 stride = 0;
  i64 size = 0;
};

// Vectors of `rows` rows into registers, and back; of the last one only the first `tail` columns exist.
template <class T, int kVectors, int kRows>
RECURRA_INLINE void load_block(Vec<T>* sums, const T* source, i64 stride, int tail) {
  constexpr int W = kLanes<T>;
  unroll<kRows>([&](auto r) RECURRA_LAMBDA {
    unroll<kVectors - 1>([&](auto v) RECURRA_LAMBDA { sums[r * kVectors + v] = load(source + r * stride + v * W); });
    const T* last = source + r * stride + (kVectors - 1) * W;
    sums[r * kVectors + kVectors - 1] = tail == W ? load(last) : load_some(last, tail);
  });
}
template <class T, int kVectors, int kRows>
RECURRA_INLINE void store_block(T* target, i64 stride, const Vec<T>* sums, int tail) {
  constexpr int W = kLanes<T>;
  unroll<kRows>([&](auto r) RECURRA_LAMBDA {
    unroll<kVectors - 1>([&](auto v) RECURRA_LAMBDA { store(target + r * stride + v * W, sums[r * kVectors + v]); });
    T* last = target + r * stride + (kVectors - 1) * W;
    if (tail == W) {
      store(last, sums[r * kVectors + kVectors - 1]);
    } else {
      store_some(last, sums[r * kVectors + kVectors - 1], tail);
    }
  });
}

// sums[r][v] += number(r) * vector(v), with what there are fewer of in registers and the others one after another.
template <class T, int kVectors, int kRows, class F, class G>
RECURRA_INLINE void add_products(Vec<T>* sums, F&& vector, G&& number) {
  if constexpr (kManyRegisters || kRows > kVectors) {
    Vec<T> vectors[kVectors];
    unroll<kVectors>([&](auto v) RECURRA_LAMBDA { vectors[v] = vector(v); });
    unroll<kRows>([&](auto r) RECURRA_LAMBDA {
      const T x = number(r);
      unroll<kVectors>([&](auto v) RECURRA_LAMBDA { sums[r * kVectors + v] += x * vectors[v]; });
    });
  } else {
    Vec<T> numbers[kRows];
    unroll<kRows>([&](auto r) RECURRA_LAMBDA { numbers[r] = broadcast<T>(number(r)); });
    unroll<kVectors>([&](auto v) RECURRA_LAMBDA {
      const Vec<T> one = vector(v);
      unroll<kRows>([&](auto r) RECURRA_LAMBDA { sums[r * kVectors + v] += numbers[r] * one; });
    });
  }
}

// Rows of numbers, and the packed weights that they are multiplied with, stored as S.
template <class T, class S>
struct Factor {
  Rows<T> rows;
  const S* weights = nullptr;
};

// target[r][columns] = start[r][columns] + first . its panel + second . its panel. `ahead`: how many numbers further on
// the panels' next parts stand that are to be fetched, 0 for none.
template <class T, class S, int kVectors, int kRows>
__attribute__((noinline)) void block(T* RECURRA_RESTRICT target, i64 target_stride, const T* start, i64 start_stride,
                                     Factor<T, S> first, Factor<T, S> second, int tail, i64 ahead) {
  constexpr int W = kLanes<T>;
  Vec<T> sums[kRows * kVectors];
  load_block<T, kVectors, kRows>(sums, start, start_stride, tail);
  auto multiply = [&](const Factor<T, S>& factor) RECURRA_LAMBDA {
    const Rows<T> a = factor.rows;
    const S* RECURRA_RESTRICT panel = factor.weights;
    i64 k = 0;
    if constexpr (kRows * kVectors <= 4) {
      // Too few sums to hide the latency of an addition: two of each. What is multiplied once is fetched early.
      Vec<T> others[kRows * kVectors];
      unroll<kRows * kVectors>([&](auto i) RECURRA_LAMBDA { others[i] = Vec<T>{}; });
      for (; k + 2 <= a.size; k += 2) {
        fetch<2 * kVectors>(panel + 16 * kVectors * W, W);
        unroll<kRows>([&](auto r) RECURRA_LAMBDA {
          const T x = a.data[r * a.stride + k], z = a.data[r * a.stride + k + 1];
          unroll<kVectors>([&](auto v) RECURRA_LAMBDA {
            sums[r * kVectors + v] += x * load_weights<T>(panel + v * W);
            others[r * kVectors + v] += z * load_weights<T>(panel + (kVectors + v) * W);
          });
        });
        panel += 2 * kVectors * W;
      }
      unroll<kRows * kVectors>([&](auto i) RECURRA_LAMBDA { sums[i] += others[i]; });
    }
    for (; k < a.size; k++) {
      if (ahead != 0) fetch<kVectors>(panel + ahead, W);
      add_products<T, kVectors, kRows>(
          sums, [&](auto v) RECURRA_LAMBDA { return load_weights<T>(panel + v * W); },
          [&](auto r) RECURRA_LAMBDA { return a.data[r * a.stride + k]; });
      panel += kVectors * W;
    }
  };
  multiply(first);
  multiply(second);
  store_block<T, kVectors, kRows>(target, target_stride, sums, tail);
}

// target[r][columns] += sum over k of a[k][r] * b[k][columns]: a and b hold one sample a row.
template <class T, int kVectors, int kRows>
__attribute__((noinline)) void outer_block(T* RECURRA_RESTRICT target, i64 target_stride,
                                           const T* RECURRA_RESTRICT a, i64 a_stride, const T* RECURRA_RESTRICT b,
                                           i64 b_stride, i64 num_samples) {
  constexpr int W = kLanes<T>;
  Vec<T> sums[kRows * kVectors];
  load_block<T, kVectors, kRows>(sums, target, target_stride, W);
  for (i64 k = 0; k < num_samples; k++) {
    add_products<T, kVectors, kRows>(
        sums, [&](auto v) RECURRA_LAMBDA { return load(b + v * W); }, [&](auto r) RECURRA_LAMBDA { return a[r]; });
    a += a_stride;
    b += b_stride;
  }
  store_block<T, kVectors, kRows>(target, target_stride, sums, W);
}

// S is what the weights are stored as.
template <class T, class S>
struct Blocks {
  using Block = void (*)(T*, i64, const T*, i64, Factor<T, S>, Factor<T, S>, int, i64);
  Block block[kPanelVectors][kMaxBlockRows] = {};

  constexpr Blocks() {
    unroll<kPanelVectors>([&](auto v) {
      constexpr int kVectors = v + 1;
      unroll<kBlockRows[kVectors]>([&](auto r) { block[v][r] = RECURRA_ISA::block<T, S, kVectors, r + 1>; });
    });
  }
};
template <class T, class S>
inline constexpr Blocks<T, S> kBlocks{};

template <class T>
struct OuterBlocks {
  using Outer = void (*)(T*, i64, const T*, i64, const T*, i64, i64);
  Outer block[kPanelVectors][kMaxBlockRows] = {};

  constexpr OuterBlocks() {
    unroll<kPanelVectors>([&](auto v) {
      constexpr int kVectors = v + 1;
      unroll<kBlockRows[kVectors]>([&](auto r) { block[v][r] = outer_block<T, kVectors, r + 1>; });
    });
  }
};
template <class T>
inline constexpr OuterBlocks<T> kOuterBlocks{};

// Columns begin..end of a product, as panels of nearly equal width.
struct Band {
  i64 begin = 0, end = 0;
  i64 offset = 0;  // of its packed weights, in numbers

  template <class T>
  i64 vectors() const {
    return divide_up(end - begin, kLanes<T>);
  }
  template <class T>
  i64 panels() const {
    return divide_up(vectors<T>(), kPanelVectors);
  }
  // First vector of panel `index`; that of panels() is vectors().
  template <class T>
  i64 first(i64 index) const {
    return vectors<T>() * index / panels<T>();
  }
};

// Rows of numbers whose sums of products with few columns are wanted: dot products, as panels would be mostly padding.
constexpr i64 kFewColumns = 4;

template <class T>
T dot(const T* a, const T* b, i64 size) {
  Vec<T> sums[2] = {};
  i64 j = 0;
  for (; j + 2 * kLanes<T> <= size; j += 2 * kLanes<T>) {
    sums[0] += load(a + j) * load(b + j);
    sums[1] += load(a + j + kLanes<T>) * load(b + j + kLanes<T>);
  }
  for_vectors<T>(j, size, [&](i64 k, int n, auto full) RECURRA_LAMBDA {
    sums[0] += load_part<decltype(full)::value>(a + k, n) * load_part<decltype(full)::value>(b + k, n);
  });
  return sum<T>(sums[0] + sums[1]);
}

// target[r][begin..end) = start + first . its weights + second . its weights, for `rows` rows. The weights are packed for
// these columns.
template <class T, class S>
void multiply_rows(T* target, i64 target_stride, const T* start, i64 start_stride, const Band& band, Factor<T, S> first,
                   Factor<T, S> second, i64 rows) {
  constexpr int W = kLanes<T>;
  const i64 depth = first.rows.size + second.rows.size;
  // Weights too many for the second-level cache are fetched a slice ahead.
  const bool is_far = band.vectors<T>() * W * depth * static_cast<i64>(sizeof(S)) > kNearBytes;
  for (i64 p = 0; p < band.panels<T>(); p++) {
    const i64 v0 = band.first<T>(p), vectors = band.first<T>(p + 1) - v0, column = band.begin + v0 * W;
    const int tail = static_cast<int>(min(W, band.end - column - (vectors - 1) * W));
    const i64 num_blocks = divide_up(rows, kBlockRows[vectors]);
    const i64 few = rows / num_blocks, longer = rows % num_blocks;  // blocks of few rows, the first of few + 1
    const i64 slice = num_blocks == 1 ? max(depth, 1) : kPanelBytes / (vectors * kVectorBytes);
    const i64 ahead = num_blocks > 1 && is_far ? slice * vectors * W : 0;
    const T* from = start + column;
    i64 from_stride = start_stride;
    // A factor's part of the numbers k..stop of both, for the rows from r0 on.
    auto part = [&](const Factor<T, S>& factor, i64 before, i64 k, i64 stop, i64 r0) RECURRA_LAMBDA {
      const Rows<T>& a = factor.rows;
      const i64 low = max(k - before, 0), high = max(min(stop - before, a.size), low);
      return Factor<T, S>{{a.data + r0 * a.stride + low, a.stride, high - low},
                          factor.weights + (v0 * a.size + low * vectors) * W};
    };
    for (i64 k = 0; k < depth; k += slice) {
      const i64 stop = min(k + slice, depth);
      for (i64 b = 0, r0 = 0, r1 = 0; b < num_blocks; b++, r0 = r1) {
        r1 = r0 + few + (b < longer);
        kBlocks<T, S>.block[vectors - 1][r1 - r0 - 1](
            target + r0 * target_stride + column, target_stride, from + r0 * from_stride, from_stride,
            part(first, 0, k, stop, r0), part(second, first.rows.size, k, stop, r0), tail, ahead);
      }
      from = target + column;
      from_stride = target_stride;
    }
  }
}

// ---- packing -------------------------------------------------------------------------------------------------------

// The weights of some panels' columns: row(column) points to the `depth` numbers of a column.
template <class T, class F>
void pack_columns(T* packed, const Band& band, i64 panel_begin, i64 panel_end, i64 depth, F&& row) {
  constexpr int W = kLanes<T>;
  for (i64 p = panel_begin; p < panel_end; p++) {
    const i64 v0 = band.first<T>(p), vectors = band.first<T>(p + 1) - v0;
    T* panel = packed + band.offset + v0 * W * depth;
    for (i64 v = 0; v < vectors; v++) {
      const i64 column = band.begin + (v0 + v) * W;
      const i64 count = min(W, band.end - column);
      const T* rows[W];
      for (i64 i = 0; i < count; i++) rows[i] = row(column + i);
      for (i64 k = 0; k < depth; k += W) {
        Vec<T> square[W];
        const int some = static_cast<int>(min(W, depth - k));
        if (count == W && some == W) {
          unroll<W>([&](auto i) RECURRA_LAMBDA { square[i] = load(rows[i] + k); });
        } else {
          for (i64 i = 0; i < W; i++) square[i] = i < count ? load_some(rows[i] + k, some) : Vec<T>{};
        }
        transpose<T>(square);
        T* target = panel + k * vectors * W + v * W;
        if (some == W) {
          unroll<W>([&](auto i) RECURRA_LAMBDA { store(target + i * vectors * W, square[i]); });
        } else {
          for (int i = 0; i < some; i++) store(target + i * vectors * W, square[i]);
        }
      }
    }
  }
}

// The same where the numbers of one k stand side by side: row(k) points to columns 0.. of k.
template <class T, class F>
void pack_rows(T* packed, const Band& band, i64 panel_begin, i64 panel_end, i64 depth, F&& row) {
  constexpr int W = kLanes<T>;
  for (i64 p = panel_begin; p < panel_end; p++) {
    const i64 v0 = band.first<T>(p), vectors = band.first<T>(p + 1) - v0;
    const i64 column = band.begin + v0 * W, width = min(vectors * W, band.end - column);
    T* target = packed + band.offset + v0 * W * depth;
    for (i64 k = 0; k < depth; k++, target += vectors * W) {
      copy(target, row(k) + column, width);
      if (width < vectors * W) clear(target + width, vectors * W - width);
    }
  }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
