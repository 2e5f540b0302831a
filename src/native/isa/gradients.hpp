// The equations of the cells backward, a row at a time: gradients of the saved row's columns, of c and of h.
#pragma once

#include "cells.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <class T>
struct GradientRow {
  const T* saved;  // the row as forward left it
  const T* next;   // that of the step before, which comes next: fetched meanwhile
  T* columns;      // out: gradient of the products
  const T* entering;
  const T* h_before;
  const T* c_before;
  T* dh;      // in: gradient of the new h, or of what was projected to it, zoneout's part taken away
  T* direct;  // in and out: what reaches the old h past the products; added to
  T* dc;      // in: gradient of the new c; out: of the old one
  T* inner;   // gradient of r h, in a GRU that resets before its product
  typename Scan<T>::Keep keep_c;
  i64 c_before_stride, h_before_stride;

  // As CellRow's.
  void advance(i64 saved_columns, i64 width, i64 H, i64 O, i64 dh_stride) {
    saved += saved_columns;
    next += saved_columns;
    columns += width;
    h_before += h_before_stride;
    c_before += c_before_stride;
    dh += dh_stride;
    direct += O;
    dc += H;
    inner += H;
  }
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

// The way back through a normalised part of the products, its gain and its bias.
template <class T>
struct NormedGradient {
  const Normed<T> normed;
  T* columns;  // out
  T *gain, *bias;
  const i64 size;
  Vec<T> total{}, product{};

  // From the gradient of the sum that units j.. of the part are in; `finish` is to follow.
  template <bool kFull>
  RECURRA_INLINE void put(i64 j, int n, Vec<T> d) {
    const Vec<T> value = normed.template value<kFull>(j, n);
    add_part<kFull>(bias + j, d, n);
    add_part<kFull>(gain + j, d * value, n);
    d *= load_part<kFull>(normed.gain + j, n);
    store_part<kFull>(columns + j, d, n);
    total += d;
    product += d * value;
  }
  void finish() {
    const T mean = sum<T>(total) / static_cast<T>(size), slope = sum<T>(product) / static_cast<T>(size);
    for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> d = load_part<kFull>(columns + j, n) - mean - normed.template value<kFull>(j, n) * slope;
      store_part<kFull>(columns + j, d * normed.scale, n);
    });
  }
};

template <class T>
struct CellGradient {
  const Cell<T> cell;
  const Scan<T>& scan;
  const Problem& p;
  const Sums<T> sums;
  const i64 H;

  CellGradient(const Scan<T>& s, const Sums<T>& own) : cell(s), scan(s), p(s.p), sums(own), H(s.H) {}

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
    const T *gates = cell.kept(row.saved), *peephole = cell.peephole;
    T* columns = row.columns;
    const T clip = cell.clip;
    T mean = 0, slope = 0;
    if constexpr (kNorm) hide_normalised(row, gates, columns + kO * H, columns + kG * H, mean, slope);
    const i64 size = scan.layout.num_gates * H;
    const T* statistic = kNorm ? cell.statistics(row.saved) : scan.zeros;
    NormedGradient<T> x{{row.saved, cell.norm_ih, statistic + Cell<T>::kX}, columns, sums.norm_ih, sums.bias_ih, size};
    NormedGradient<T> hidden{
        {row.saved + size, cell.norm_hh, statistic + Cell<T>::kH}, columns + size, sums.norm_hh, sums.bias_hh, size};
    auto put = [&](int gate, i64 j, int n, auto full, Vec<T> d) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      if constexpr (kNorm) {
        x.template put<kFull>(gate * H + j, n, d);
        hidden.template put<kFull>(gate * H + j, n, d);
      } else {
        store_part<kFull>(columns + gate * H + j, d, n);
      }
    };
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> before = load_part<kFull>(row.c_before + j, n);
      Vec<T> f, g, i;
      if constexpr (kNorm) {
        fetch<11>(row.next + j, H);
        Vec<T> q[4];
        cell.template lstm_gates<kNorm, kCoupled, kFull>(row.saved, x.normed, hidden.normed, before, j, n, q);
        f = q[0], g = q[1], i = q[3];
      } else {
        fetch<5>(row.next + j, H);
        f = load_part<kFull>(gates + kF * H + j, n), g = load_part<kFull>(gates + kG * H + j, n);
        i = kCoupled ? T(1) - f : load_part<kFull>(gates + kI * H + j, n);
      }
      Vec<T> raw{};
      if (peephole || clip > 0) raw = f * before + i * g;
      Vec<T> dc = load_part<kFull>(row.dc + j, n), direct{}, dout;
      if (row.keep_c.active) {
        direct = row.keep_c.share_of(j, dc);
        dc -= direct;
      }
      if constexpr (kNorm) {
        dout = load_part<kFull>(columns + kO * H + j, n);
        dc += (load_part<kFull>(columns + kG * H + j, n) - mean -
               load_part<kFull>(cell.kept_cell(row.saved) + j, n) * slope) *
              statistic[Cell<T>::kC + 1];
      } else {
        const Vec<T> o = load_part<kFull>(gates + kO * H + j, n), dh = load_part<kFull>(row.dh + j, n);
        const Vec<T> shown = load_part<kFull>(cell.kept_shown(row.saved) + j, n), part = dh * o;
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
      if constexpr (!kCoupled) put(kI, j, n, full, di);
      put(kF, j, n, full, df);
      put(kG, j, n, full, dg);
      put(kO, j, n, full, dout);
    });
    if constexpr (kNorm) {
      x.finish();
      hidden.finish();
    }
  }

  // Layer-normalised LSTM: from dh to the gradient of the output gate (in `dout`) and, but for the mean of it and its
  // slope along the normalised c, of that (in `dcell`).
  void hide_normalised(const GradientRow<T>& row, const T* output_gate, T* dout, T* dcell, T& mean, T& slope) const {
    const T *values = cell.kept_cell(row.saved), *all_shown = cell.kept_shown(row.saved);
    Vec<T> total{}, product{};
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> value = load_part<kFull>(values + j, n), shown = load_part<kFull>(all_shown + j, n);
      const Vec<T> o = load_part<kFull>(output_gate + j, n), dh = load_part<kFull>(row.dh + j, n);
      store_part<kFull>(dout + j, dh * shown * o * (T(1) - o), n);
      const Vec<T> dshown = dh * o * (T(1) - shown * shown);
      add_part<kFull>(sums.norm_c + j, dshown * value, n);
      add_part<kFull>(sums.norm_c_bias + j, dshown, n);
      const Vec<T> dvalue = dshown * load_part<kFull>(cell.norm_c + j, n);
      store_part<kFull>(dcell + j, dvalue, n);
      total += dvalue;
      product += dvalue * value;
    });
    mean = sum<T>(total) / static_cast<T>(H);
    slope = sum<T>(product) / static_cast<T>(H);
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
      fetch<4>(row.next + j, H);
      mix<kFull>(row, row.saved, j, n, dz, dn);
      const Vec<T> r = load_part<kFull>(row.saved + H + j, n), hidden = load_part<kFull>(row.saved + 3 * H + j, n);
      store_part<kFull>(row.columns + j, dn, n);
      store_part<kFull>(row.columns + H + j, dn * hidden * r * (T(1) - r), n);
      store_part<kFull>(row.columns + 2 * H + j, dz, n);
      store_part<kFull>(row.columns + 3 * H + j, dn * r, n);
    });
  }

  // The parts of a GRU's row.
  NormedGradient<T> x_gates(const GradientRow<T>& row) const {
    return {cell.x_gates(row.saved), row.columns + H, sums.norm_ih, sums.bias_ih, 2 * H};
  }
  NormedGradient<T> h_gates(const GradientRow<T>& row) const {
    return {cell.h_gates(row.saved), row.columns + 4 * H, sums.norm_hh, sums.bias_hh, 2 * H};
  }
  NormedGradient<T> x_new(const GradientRow<T>& row) const {
    return {cell.x_new(row.saved), row.columns, sums.norm_ih + 2 * H, sums.bias_ih + 2 * H, H};
  }
  NormedGradient<T> h_new(const GradientRow<T>& row) const {
    return {cell.h_new(row.saved), row.columns + 3 * H, sums.norm_hh + 2 * H, sums.bias_hh + 2 * H, H};
  }

  void gru_after_normalised(const GradientRow<T>& row) const {
    const T* gates = cell.kept(row.saved);
    NormedGradient<T> parts[4] = {x_gates(row), h_gates(row), x_new(row), h_new(row)};
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> dz, dn;
      mix<kFull>(row, gates, j, n, dz, dn);
      const Vec<T> r = load_part<kFull>(gates + H + j, n), hidden = load_part<kFull>(gates + 3 * H + j, n);
      const Vec<T> dr = dn * hidden * r * (T(1) - r);
      for (int side = 0; side < 2; side++) {
        parts[side].template put<kFull>(j, n, dr);
        parts[side].template put<kFull>(H + j, n, dz);
      }
      parts[2].template put<kFull>(j, n, dn);
      parts[3].template put<kFull>(j, n, dn * r);
    });
    for (auto& part : parts) part.finish();
  }

  // Reset before the product, first half: n and z; `columns` of n give the gradient of r h by a product.
  template <bool kNorm>
  void gru_renew(const GradientRow<T>& row) const {
    const T* gates = cell.kept(row.saved);
    T* kept_dz = row.columns + (kNorm ? 5 : 2) * H;  // z waits for r where they are normalised together
    NormedGradient<T> x = x_new(row), h = h_new(row);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> dz, dn;
      mix<kFull>(row, gates, j, n, dz, dn);
      store_part<kFull>(kept_dz + j, dz, n);
      if constexpr (kNorm) {
        x.template put<kFull>(j, n, dn);
        h.template put<kFull>(j, n, dn);
      } else {
        store_part<kFull>(row.columns + j, dn, n);
      }
    });
    if constexpr (kNorm) {
      x.finish();
      h.finish();
    }
  }

  // Second half: `inner` holds the gradient of r h, and becomes that of what entered there.
  void reset(const GradientRow<T>& row) const { scan.layout.norm ? gru_reset<true>(row) : gru_reset<false>(row); }
  template <bool kNorm>
  void gru_reset(const GradientRow<T>& row) const {
    const T* gates = cell.kept(row.saved);
    NormedGradient<T> x = x_gates(row), h = h_gates(row);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> r = load_part<kFull>(gates + H + j, n), d = load_part<kFull>(row.inner + j, n);
      const Vec<T> dr = d * load_part<kFull>(row.entering + j, n) * r * (T(1) - r);
      if constexpr (kNorm) {
        const Vec<T> dz = load_part<kFull>(row.columns + 5 * H + j, n);
        x.template put<kFull>(j, n, dr);
        x.template put<kFull>(H + j, n, dz);
        h.template put<kFull>(j, n, dr);
        h.template put<kFull>(H + j, n, dz);
      } else {
        store_part<kFull>(row.columns + H + j, dr, n);
      }
      store_part<kFull>(row.inner + j, d * r, n);
    });
    if constexpr (kNorm) {
      x.finish();
      h.finish();
    }
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
      default: return norm ? gru_renew<true>(row) : gru_renew<false>(row);
    }
  }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
