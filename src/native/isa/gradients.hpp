// The equations of the cells backward, a row at a time: gradients of the saved row's columns, of c and of h.
#pragma once

#include "cells.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <class T>
struct GradientRow {
  const T* saved;  // the row as forward left it
  T* columns;      // out: gradient of the products
  const T* entering;
  const T* h_before;
  const T* c_before;
  T* dh;      // in: gradient of the new h, or of what was projected to it, zoneout's part taken away
  T* direct;  // in and out: what reaches the old h past the products; added to
  T* dc;      // in: gradient of the new c; out: of the old one
  T* inner;   // gradient of r h, in a GRU that resets before its product
  typename Scan<T>::Keep keep_c;
};

// Sums over all rows of one thread: gradients of the parameters that are no matrices. Weights' order of gates.
template <class T>
struct Sums {
  T *peephole, *norm_ih, *norm_hh, *bias_ih, *bias_hh, *norm_c, *norm_c_bias;

  static i64 size(const Scan<T>& s) {
    const i64 gates = s.layout.num_gates * s.H;
    return (s.p.peephole ? 3 * s.H : 0) + (s.layout.norm ? 4 * gates + 2 * s.H : 0);
  }
  static Sums at(T* memory, const Scan<T>& s) {
    const i64 gates = s.layout.num_gates * s.H;
    Sums sums{};
    sums.peephole = memory;
    T* next = memory + (s.p.peephole ? 3 * s.H : 0);
    if (s.layout.norm) {
      sums.norm_ih = next;
      sums.norm_hh = next + gates;
      sums.bias_ih = next + 2 * gates;
      sums.bias_hh = next + 3 * gates;
      sums.norm_c = next + 4 * gates;
      sums.norm_c_bias = next + 4 * gates + s.H;
    }
    return sums;
  }
};

template <bool kFull, class T>
RECURRA_INLINE void add_part(T* target, Vec<T> value, int n) {
  store_part<kFull>(target, load_part<kFull>(target, n) + value, n);
}

// The gradient of layer normalisation: `values` holds that of the normalised numbers and becomes that of the numbers.
template <class T>
void unnormalise(T* values, const T* normalised, i64 size, T scale) {
  Vec<T> total{}, product{};
  for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    constexpr bool kFull = decltype(full)::value;
    const Vec<T> value = load_part<kFull>(values + j, n);
    total += value;
    product += value * load_part<kFull>(normalised + j, n);
  });
  const T mean = sum<T>(total) / static_cast<T>(size), slope = sum<T>(product) / static_cast<T>(size);
  for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    constexpr bool kFull = decltype(full)::value;
    const Vec<T> value = load_part<kFull>(values + j, n) - mean - load_part<kFull>(normalised + j, n) * slope;
    store_part<kFull>(values + j, value * scale, n);
  });
}

template <class T>
struct CellGradient {
  const Cell<T> cell;
  const Scan<T>& scan;
  const Problem& p;
  const Sums<T> sums;
  const i64 H;

  CellGradient(const Scan<T>& s, const Sums<T>& own) : cell(s), scan(s), p(s.p), sums(own), H(s.H) {}

  const T* kept(const T* row) const { return scan.layout.norm ? row + scan.layout.num_columns * H : row; }
  const T* statistics(const T* row) const {
    return row + (scan.layout.num_columns + scan.layout.num_kept) * H;
  }

  template <int kKind>
  void elman(const GradientRow<T>& row, i64 begin, i64 end) const {
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> h = load_part<kFull>(row.saved + j, n);
      Vec<T> d = load_part<kFull>(row.dh + j, n);
      if constexpr (kKind == kElmanTanh) d = d - d * h * h;
      if constexpr (kKind == kElmanSigmoid) d = d * h * (T(1) - h);
      if constexpr (kKind == kElmanRelu) d = h > Vec<T>{} ? d : Vec<T>{};
      store_part<kFull>(row.columns + j, d, n);
    });
  }

  template <bool kNorm, bool kCoupled>
  void lstm(const GradientRow<T>& row, i64 begin, i64 end) const {
    constexpr int kI = 0, kF = kCoupled ? 0 : 1, kG = kF + 1, kO = kF + 2;
    constexpr int kNumPeepholes = kCoupled ? 2 : 3;
    const T *gates = kept(row.saved), *peephole = cell.peephole;
    T* columns = row.columns;
    const T clip = cell.clip;
    // c before clipping, and after.
    auto raw_cell = [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> f = load_part<kFull>(gates + kF * H + j, n);
      const Vec<T> i = kCoupled ? T(1) - f : load_part<kFull>(gates + kI * H + j, n);
      return f * load_part<kFull>(row.c_before + j, n) + i * load_part<kFull>(gates + kG * H + j, n);
    };
    if constexpr (kNorm) hide_normalised(row, gates + kO * H, columns + kO * H, columns + kG * H, raw_cell);
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> before = load_part<kFull>(row.c_before + j, n);
      const Vec<T> f = load_part<kFull>(gates + kF * H + j, n), g = load_part<kFull>(gates + kG * H + j, n);
      const Vec<T> i = kCoupled ? T(1) - f : load_part<kFull>(gates + kI * H + j, n);
      Vec<T> raw{};
      if (peephole || clip > 0) raw = f * before + i * g;
      Vec<T> dc = load_part<kFull>(row.dc + j, n), direct{}, dout;
      if (row.keep_c.active) {
        direct = dc * row.keep_c(j);
        dc -= direct;
      }
      if constexpr (kNorm) {
        dout = load_part<kFull>(columns + kO * H + j, n);
        dc += load_part<kFull>(columns + kG * H + j, n);  // left there by hide_normalised
      } else {
        const Vec<T> o = load_part<kFull>(gates + kO * H + j, n), dh = load_part<kFull>(row.dh + j, n);
        const Vec<T> shown = load_part<kFull>(row.saved + scan.layout.num_columns * H + j, n), part = dh * o;
        dc += part - part * shown * shown;
        dout = dh * shown * o * (T(1) - o);
      }
      if (peephole) {
        dc += dout * load_part<kFull>(peephole + (kNumPeepholes - 1) * H + j, n);
        const Vec<T> c = clip > 0 ? clamp<T>(raw, clip) : raw;
        add_part<kFull>(sums.peephole + (kNumPeepholes - 1) * H + j, dout * c, n);
      }
      if (clip > 0) dc = raw > broadcast<T>(clip) ? Vec<T>{} : (raw < broadcast<T>(-clip) ? Vec<T>{} : dc);
      const Vec<T> dg = dc * i * (T(1) - g * g);
      Vec<T> df, di{};
      if constexpr (kCoupled) {
        df = dc * (before - g) * f * (T(1) - f);
      } else {
        df = dc * before * f * (T(1) - f);
        di = dc * g * i * (T(1) - i);
      }
      Vec<T> carried = dc * f + direct;
      if (peephole) {
        carried += df * load_part<kFull>(peephole + kF * H + j, n);
        add_part<kFull>(sums.peephole + kF * H + j, df * before, n);
        if constexpr (!kCoupled) {
          carried += di * load_part<kFull>(peephole + j, n);
          add_part<kFull>(sums.peephole + j, di * before, n);
        }
      }
      store_part<kFull>(row.dc + j, carried, n);
      if constexpr (!kCoupled) store_part<kFull>(columns + kI * H + j, di, n);
      store_part<kFull>(columns + kF * H + j, df, n);
      store_part<kFull>(columns + kG * H + j, dg, n);
      store_part<kFull>(columns + kO * H + j, dout, n);
    });
    if constexpr (kNorm) {
      const i64 size = scan.layout.num_gates * H;
      const T* statistic = statistics(row.saved);
      spread(columns + size, columns, row.saved + size, 0, size, sums.bias_hh, sums.norm_hh, cell.norm_hh);
      spread(columns, columns, row.saved, 0, size, sums.bias_ih, sums.norm_ih, cell.norm_ih);
      unnormalise(columns, row.saved, size, statistic[0]);
      unnormalise(columns + size, row.saved + size, size, statistic[1]);
    }
  }

  // From the gradient of a sum that has a normalised product and a bias in it to those of gain and bias, and (target)
  // of the normalised product. Target may be `gradient`.
  void spread(T* target, const T* gradient, const T* normalised, i64 first_weight, i64 size, T* bias, T* gain_sum,
              const T* gain) const {
    for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> d = load_part<kFull>(gradient + j, n);
      add_part<kFull>(bias + first_weight + j, d, n);
      add_part<kFull>(gain_sum + first_weight + j, d * load_part<kFull>(normalised + j, n), n);
      store_part<kFull>(target + j, d * load_part<kFull>(gain + first_weight + j, n), n);
    });
  }

  // Layer-normalised LSTM: from dh to the gradient of the output gate (in `dout`) and of c (in `dcell`).
  template <class F>
  void hide_normalised(const GradientRow<T>& row, const T* output_gate, T* dout, T* dcell, F&& raw_cell) const {
    const T* statistic = statistics(row.saved);
    const T mean = statistic[2], scale = statistic[3];
    const T clip = cell.clip;
    auto normalised = [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      const Vec<T> raw = raw_cell(j, n, full);
      return ((clip > 0 ? clamp<T>(raw, clip) : raw) - mean) * scale;
    };
    Vec<T> total{}, product{};
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> value = normalised(j, n, full), gain = load_part<kFull>(cell.norm_c + j, n);
      const Vec<T> shown = tanh<T>(value * gain + load_part<kFull>(cell.norm_c_bias + j, n));
      const Vec<T> o = load_part<kFull>(output_gate + j, n), dh = load_part<kFull>(row.dh + j, n);
      store_part<kFull>(dout + j, dh * shown * o * (T(1) - o), n);
      const Vec<T> dshown = dh * o * (T(1) - shown * shown);
      add_part<kFull>(sums.norm_c + j, dshown * value, n);
      add_part<kFull>(sums.norm_c_bias + j, dshown, n);
      const Vec<T> dvalue = dshown * gain;
      store_part<kFull>(dcell + j, dvalue, n);
      total += dvalue;
      product += dvalue * value;
    });
    const T mean_d = sum<T>(total) / static_cast<T>(H), slope = sum<T>(product) / static_cast<T>(H);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> d = load_part<kFull>(dcell + j, n) - mean_d - normalised(j, n, full) * slope;
      store_part<kFull>(dcell + j, d * scale, n);
    });
  }

  // ---- GRU ----
  // h' = n + z (h - n): from dh to the gradients of z and of n before their activations.
  template <bool kFull>
  RECURRA_INLINE void mix(const GradientRow<T>& row, const T* gates, i64 j, int n, Vec<T>& dz, Vec<T>& dn) const {
    const Vec<T> z = load_part<kFull>(gates + 2 * H + j, n), candidate = load_part<kFull>(gates + j, n);
    const Vec<T> dh = load_part<kFull>(row.dh + j, n);
    dz = dh * (load_part<kFull>(row.h_before + j, n) - candidate) * z * (T(1) - z);
    dn = (dh - dh * z) * (T(1) - candidate * candidate);
    add_part<kFull>(row.direct + j, dh * z, n);
  }

  void gru_after(const GradientRow<T>& row, i64 begin, i64 end) const {
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> dz, dn;
      mix<kFull>(row, row.saved, j, n, dz, dn);
      const Vec<T> r = load_part<kFull>(row.saved + H + j, n), hidden = load_part<kFull>(row.saved + 3 * H + j, n);
      store_part<kFull>(row.columns + j, dn, n);
      store_part<kFull>(row.columns + H + j, dn * hidden * r * (T(1) - r), n);
      store_part<kFull>(row.columns + 2 * H + j, dz, n);
      store_part<kFull>(row.columns + 3 * H + j, dn * r, n);
    });
  }

  void gru_after_normalised(const GradientRow<T>& row) const {
    const T* gates = kept(row.saved);
    T *x = row.columns, *h = row.columns + 3 * H;  // each n r z
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> dz, dn;
      mix<kFull>(row, gates, j, n, dz, dn);
      const Vec<T> r = load_part<kFull>(gates + H + j, n), hidden = load_part<kFull>(gates + 3 * H + j, n);
      store_part<kFull>(x + j, dn, n);
      store_part<kFull>(x + H + j, dn * hidden * r * (T(1) - r), n);
      store_part<kFull>(x + 2 * H + j, dz, n);
      store_part<kFull>(h + j, dn * r, n);
    });
    unnormalise_inner(row);
    unnormalise_gates(row);
  }

  // Reset before the product, first half: n and z; `columns` of n give the gradient of r h by a product.
  void gru_renew(const GradientRow<T>& row) const {
    const T* gates = kept(row.saved);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> dz, dn;
      mix<kFull>(row, gates, j, n, dz, dn);
      store_part<kFull>(row.columns + j, dn, n);
      store_part<kFull>(row.columns + 2 * H + j, dz, n);
      if (scan.layout.norm) store_part<kFull>(row.columns + 3 * H + j, dn, n);
    });
    if (scan.layout.norm) unnormalise_inner(row);
  }

  // Second half: `inner` holds the gradient of r h.
  void gru_reset(const GradientRow<T>& row) const {
    const T* gates = kept(row.saved);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> r = load_part<kFull>(gates + H + j, n), d = load_part<kFull>(row.inner + j, n);
      store_part<kFull>(row.columns + H + j, d * load_part<kFull>(row.entering + j, n) * r * (T(1) - r), n);
      store_part<kFull>(row.inner + j, d * r, n);  // the gradient of what enters
    });
    if (scan.layout.norm) unnormalise_gates(row);
  }

  // n of both sides: column 0 of x and of h hold the gradients of their sums.
  void unnormalise_inner(const GradientRow<T>& row) const {
    const T* statistic = statistics(row.saved);
    const i64 w = 2 * H, h = 3 * H;
    spread(row.columns, row.columns, row.saved, w, H, sums.bias_ih, sums.norm_ih, cell.norm_ih);
    spread(row.columns + h, row.columns + h, row.saved + h, w, H, sums.bias_hh, sums.norm_hh, cell.norm_hh);
    unnormalise(row.columns, row.saved, H, statistic[1]);
    unnormalise(row.columns + h, row.saved + h, H, statistic[3]);
  }
  // r and z of both sides, of which the columns of x hold the gradients.
  void unnormalise_gates(const GradientRow<T>& row) const {
    const T* statistic = statistics(row.saved);
    T *x = row.columns + H, *h = row.columns + 4 * H;
    spread(h, x, row.saved + 4 * H, 0, 2 * H, sums.bias_hh, sums.norm_hh, cell.norm_hh);
    spread(x, x, row.saved + H, 0, 2 * H, sums.bias_ih, sums.norm_ih, cell.norm_ih);
    unnormalise(x, row.saved + H, 2 * H, statistic[0]);
    unnormalise(h, row.saved + 4 * H, 2 * H, statistic[2]);
  }

  void run(const GradientRow<T>& row, i64 begin, i64 end) const {
    const bool norm = scan.layout.norm, coupled = p.coupled;
    switch (p.kind) {
      case kElmanTanh: return elman<kElmanTanh>(row, begin, end);
      case kElmanRelu: return elman<kElmanRelu>(row, begin, end);
      case kElmanSigmoid: return elman<kElmanSigmoid>(row, begin, end);
      case kLSTM:
        if (norm) return coupled ? lstm<true, true>(row, begin, end) : lstm<true, false>(row, begin, end);
        return coupled ? lstm<false, true>(row, begin, end) : lstm<false, false>(row, begin, end);
      case kGRUAfter: return norm ? gru_after_normalised(row) : gru_after(row, begin, end);
      default: return gru_renew(row);
    }
  }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
