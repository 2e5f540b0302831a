// The equations of the cells, a row at a time, vector by vector: forward here, backward in gradients.hpp.
#pragma once

#include "scan.hpp"

namespace recurra {
namespace RECURRA_ISA {

// What a cell reads and writes of one row at one step. `products` becomes the saved row, in place.
template <class T>
struct CellRow {
  T* products;        // by the layout's columns
  const T* next;      // the row that is written a step later, fetched meanwhile; of inference, this one
  const T* entering;  // what entered the recurrent product
  const T* h_before;
  const T* c_before;
  T* c;       // the new c
  T* inner;   // r h, in a GRU that resets before its product
  T* output;  // the new h, or what is to be projected to it
  typename Scan<T>::Keep keep_h, keep_c;
  i64 c_before_stride, h_before_stride;  // 0 where all rows start from the same zeros

  // To the next row of a step whose rows differ in nothing but their place.
  void advance(i64 columns, i64 entering_stride, i64 H, i64 O) {
    products += columns;
    next += columns;
    entering += entering_stride;
    h_before += h_before_stride;
    c_before += c_before_stride;
    c += H;
    inner += H;
    output += O;
  }
};

// Mean and 1 / deviation of values[0..size), into statistic[0..2): those of layer normalisation, Ba et al. (2016).
template <class T>
void measure(const T* values, i64 size, T eps, T* statistic) {
  // Around a value of about their size, so that the squares lose nothing to the mean.
  const T centre = (values[0] + values[size / 4] + values[size / 2] + values[size * 3 / 4]) / 4;
  Vec<T> total{}, squares{};
  for_vectors<T>(0, size, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
    constexpr bool kFull = decltype(full)::value;
    Vec<T> deviation = load_part<kFull>(values + j, n) - centre;
    // Lanes past the end count for nothing.
    if constexpr (!kFull) {
      for (int i = n; i < kLanes<T>; i++) deviation[i] = 0;
    }
    total += deviation;
    squares += deviation * deviation;
  });
  const T count = static_cast<T>(size), shift = sum<T>(total) / count;
  const T variance = sum<T>(squares) / count - shift * shift;
  statistic[0] = centre + shift;
  statistic[1] = T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>((variance > 0 ? variance : 0) + eps)));
}

// A part of the products that is normalised by itself, times its gain.
template <class T>
struct Normed {
  const T* products;
  const T* gain;
  T mean, scale;

  Normed(const T* values, const T* gains, const T* statistic)
      : products(values), gain(gains), mean(statistic[0]), scale(statistic[1]) {}
  template <bool kFull>
  RECURRA_INLINE Vec<T> value(i64 j, int n) const {
    return (load_part<kFull>(products + j, n) - mean) * scale;
  }
  template <bool kFull>
  RECURRA_INLINE Vec<T> operator()(i64 j, int n) const {
    return value<kFull>(j, n) * load_part<kFull>(gain + j, n);
  }
};

template <class T>
struct Cell {
  const Scan<T>& scan;
  const Problem& p;
  const i64 H;
  const T *const norm_ih, *const norm_hh, *const norm_c, *const norm_c_bias, *const peephole, *const b_ih, *const b_hh;
  const T clip, eps;

  explicit Cell(const Scan<T>& s)
      : scan(s),
        p(s.p),
        H(s.H),
        norm_ih(s.template at<const T>(p.norm_ih)),
        norm_hh(s.template at<const T>(p.norm_hh)),
        norm_c(s.template at<const T>(p.norm_c)),
        norm_c_bias(s.template at<const T>(p.norm_c_bias)),
        peephole(s.template at<const T>(p.peephole)),
        b_ih(s.template at<const T>(p.b_ih)),
        b_hh(s.template at<const T>(p.b_hh)),
        clip(static_cast<T>(p.cell_clip)),
        eps(static_cast<T>(p.eps)) {}

  // The first of the activated gates of a saved row (of a normalised LSTM: the output gate alone, the others are computed
  // anew, which is quicker than to fetch them), and the statistics behind them.
  template <class R>
  R* kept(R* row) const {
    return scan.layout.norm ? row + scan.layout.num_columns * H : row;
  }
  template <class R>
  R* statistics(R* row) const {
    return row + (scan.layout.num_columns + scan.layout.num_kept) * H;
  }

  // Of an LSTM: tanh of what the output gate shows, and, where it is normalised, the normalised c.
  template <class R>
  R* kept_shown(R* row) const {
    return row + (scan.layout.num_columns + (scan.layout.norm ? 1 : 0)) * H;
  }
  template <class R>
  R* kept_cell(R* row) const {
    return kept_shown(row) + H;
  }

  // The statistics of a row: of the products of x, then of those of h (a GRU: r and z, n, of each side), then of c.
  static constexpr int kX = 0, kH = 2, kC = 4, kGruNew = 2, kGruH = 4;

  // Gate `gate` of the weights before its activation, units j..; its products are in column `column`, or, normalised, in
  // x and h.
  template <bool kNorm, bool kFull>
  RECURRA_INLINE Vec<T> gate_input(const T* row, const Normed<T>& x, const Normed<T>& h, int gate, int column, i64 j,
                                   int n) const {
    if constexpr (!kNorm) return load_part<kFull>(row + column * H + j, n);
    // The parts of a GRU begin with r, or with n.
    const i64 w = gate * H + j, first = scan.layout.gru && gate == 2 ? j : w;
    Vec<T> q = x.template operator()<kFull>(first, n) + h.template operator()<kFull>(first, n);
    if (b_ih != nullptr) q += load_part<kFull>(b_ih + w, n) + load_part<kFull>(b_hh + w, n);
    return q;
  }

  template <bool kFull>
  RECURRA_INLINE void put_output(const CellRow<T>& row, Vec<T> h, i64 j, int n) const {
    if (row.keep_h.active) {
      h = row.keep_h.blend(j, load_part<kFull>(row.h_before + j, n), h);
    }
    store_part<kFull>(row.output + j, h, n);
  }

  // ---- Elman ----
  template <int kKind>
  void elman(const CellRow<T>& row, i64 begin, i64 end) const {
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> h = load_part<kFull>(row.products + j, n);
      if constexpr (kKind == kElmanTanh) h = tanh<T>(h);
      if constexpr (kKind == kElmanSigmoid) h = sigmoid<T>(h);
      if constexpr (kKind == kElmanRelu) h = h < Vec<T>{} ? Vec<T>{} : h;  // a NaN stays one
      if (p.save) store_part<kFull>(row.products + j, h, n);
      put_output<kFull>(row, h, j, n);
    });
  }

  // ---- LSTM: gates i f g o, without i where coupled ----
  // Gates f g o i of units j.., activated but for an output gate with a peephole, which is to see the new c.
  template <bool kNorm, bool kCoupled, bool kFull>
  RECURRA_INLINE void lstm_gates(const T* row, const Normed<T>& x, const Normed<T>& hidden, Vec<T> before, i64 j, int n,
                                 Vec<T>* q) const {
    constexpr int kF = kCoupled ? 0 : 1;
    unroll<3>([&](auto g) RECURRA_LAMBDA {
      q[g] = gate_input<kNorm, kFull>(row, x, hidden, kF + g, kF + g, j, n);
    });
    q[3] = kCoupled ? Vec<T>{} : gate_input<kNorm, kFull>(row, x, hidden, 0, 0, j, n);
    const Vec<T> waiting = q[2];
    if (peephole) {
      q[0] += load_part<kFull>(peephole + kF * H + j, n) * before;
      if constexpr (!kCoupled) q[3] += load_part<kFull>(peephole + j, n) * before;
    }
    activate<T, 4, 2>(q);
    if (peephole) q[2] = waiting;
    if constexpr (kCoupled) q[3] = T(1) - q[0];
  }

  template <bool kNorm, bool kCoupled>
  void lstm(const CellRow<T>& row, i64 begin, i64 end) const {
    constexpr int kI = 0, kF = kCoupled ? 0 : 1, kG = kF + 1, kO = kF + 2;
    constexpr int kNumPeepholes = kCoupled ? 2 : 3;
    T* gates = row.products;
    const i64 size = scan.layout.num_gates * H;
    T* statistic = statistics(row.products);
    if constexpr (kNorm) {
      measure(row.products, size, eps, statistic + kX);
      measure(row.products + size, size, eps, statistic + kH);
    }
    const Normed<T> x(row.products, norm_ih, kNorm ? statistic + kX : scan.zeros);
    const Normed<T> hidden(row.products + size, norm_hh, kNorm ? statistic + kH : scan.zeros);
    // The new c and the output gate.
    auto gate = [&](i64 j, int n, auto full, Vec<T>& c, Vec<T>& o) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> before = load_part<kFull>(row.c_before + j, n);
      Vec<T> q[4];
      lstm_gates<kNorm, kCoupled, kFull>(row.products, x, hidden, before, j, n, q);
      o = q[2];
      c = q[0] * before + q[3] * q[1];
      if (clip > 0) c = clamp<T>(c, clip);
      if (peephole) o = sigmoid<T>(o + load_part<kFull>(peephole + (kNumPeepholes - 1) * H + j, n) * c);
      if constexpr (kNorm) {
        if (p.save) fetch<(kCoupled ? 9 : 11)>(row.next + j, H);
        store_part<kFull>(kept(row.products) + j, o, n);
      } else if (p.save) {
        if constexpr (!kCoupled) store_part<kFull>(gates + kI * H + j, q[3], n);
        fetch<5>(row.next + j, H);
        store_part<kFull>(gates + kF * H + j, q[0], n);
        store_part<kFull>(gates + kG * H + j, q[1], n);
        store_part<kFull>(gates + kO * H + j, o, n);
      }
    };
    if constexpr (kNorm) {
      // Shown after it is normalised; zoneout takes it as it is.
      for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
        Vec<T> c, o;
        gate(j, n, full, c, o);
        store_part<decltype(full)::value>(row.output + j, c, n);
      });
      return show_normalised(row, kept(row.products));
    }
    auto show = [&](i64 j, int n, auto full, Vec<T> c, Vec<T> shown, Vec<T> o) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      if (!scan.layout.projected) {
        put_output<kFull>(row, o * shown, j, n);
      } else {
        store_part<kFull>(row.output + j, o * shown, n);
      }
      if (p.save) store_part<kFull>(kept_shown(row.products) + j, shown, n);
      if (row.keep_c.active) c = row.keep_c.blend(j, load_part<kFull>(row.c_before + j, n), c);
      store_part<kFull>(row.c + j, c, n);
    };
    constexpr int W = kLanes<T>;
    i64 pairs_end = begin + (end - begin) / (2 * W) * (2 * W);
    for (i64 j = begin; j < pairs_end; j += 2 * W) {
      Vec<T> c[2], o[2], shown[2];
      unroll<2>([&](auto v) RECURRA_LAMBDA {
        gate(j + v * W, W, std::true_type{}, c[v], o[v]);
        shown[v] = c[v];
      });
      activate<T, 2, 3>(shown);
      unroll<2>([&](auto v) RECURRA_LAMBDA { show(j + v * W, W, std::true_type{}, c[v], shown[v], o[v]); });
    }
    for_vectors<T>(pairs_end, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      Vec<T> c, o;
      gate(j, n, full, c, o);
      show(j, n, full, c, tanh<T>(c), o);
    });
  }

  // The second half of a layer-normalised LSTM, of which `output` holds the new c.
  void show_normalised(const CellRow<T>& row, const T* output_gate) const {
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> c = load_part<kFull>(row.output + j, n);
      if (row.keep_c.active) c = row.keep_c.blend(j, load_part<kFull>(row.c_before + j, n), c);
      store_part<kFull>(row.c + j, c, n);
    });
    measure(row.output, H, eps, statistics(row.products) + kC);
    const Normed<T> normed(row.output, norm_c, statistics(row.products) + kC);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> value = normed.template value<kFull>(j, n);
      const Vec<T> shown =
          tanh<T>(value * load_part<kFull>(norm_c + j, n) + load_part<kFull>(norm_c_bias + j, n));
      if (p.save) {
        store_part<kFull>(kept_cell(row.products) + j, value, n);
        store_part<kFull>(kept_shown(row.products) + j, shown, n);
      }
      const Vec<T> h = load_part<kFull>(output_gate + j, n) * shown;
      if (!scan.layout.projected) {
        put_output<kFull>(row, h, j, n);
      } else {
        store_part<kFull>(row.output + j, h, n);
      }
    });
  }

  // ---- GRU: columns n r z (and n of h); gates of the weights r z n ----
  // Reset after the product, without layer norm.
  void gru_after(const CellRow<T>& row, i64 begin, i64 end) const {
    for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> q[2] = {load_part<kFull>(row.products + H + j, n), load_part<kFull>(row.products + 2 * H + j, n)};
      activate<T, 2, 0>(q);
      const Vec<T> r = q[0], z = q[1];
      const Vec<T> hidden = load_part<kFull>(row.products + 3 * H + j, n);
      const Vec<T> candidate = tanh<T>(load_part<kFull>(row.products + j, n) + r * hidden);
      if (p.save) {
        fetch<4>(row.next + j, H);
        store_part<kFull>(row.products + j, candidate, n);
        store_part<kFull>(row.products + H + j, r, n);
        store_part<kFull>(row.products + 2 * H + j, z, n);
      }
      put_output<kFull>(row, candidate + z * (load_part<kFull>(row.h_before + j, n) - candidate), j, n);
    });
  }

  // The parts of a row that a GRU normalises: r and z, and n, of x and of h.
  Normed<T> x_gates(const T* row) const { return {row + H, norm_ih, gru_statistics(row, kX)}; }
  Normed<T> x_new(const T* row) const { return {row, gain_of_new(norm_ih), gru_statistics(row, kX + kGruNew)}; }
  Normed<T> h_gates(const T* row) const { return {row + 4 * H, norm_hh, gru_statistics(row, kGruH)}; }
  Normed<T> h_new(const T* row) const { return {row + 3 * H, gain_of_new(norm_hh), gru_statistics(row, kGruH + kGruNew)}; }
  const T* gain_of_new(const T* gain) const { return gain ? gain + 2 * H : nullptr; }
  const T* gru_statistics(const T* row, int first) const {
    return scan.layout.norm ? statistics(row) + first : scan.zeros;
  }
  void measure_gates(T* row) const {
    measure(row + H, 2 * H, eps, statistics(row) + kX);
    measure(row + 4 * H, 2 * H, eps, statistics(row) + kGruH);
  }
  void measure_new(T* row) const {
    measure(row, H, eps, statistics(row) + kX + kGruNew);
    measure(row + 3 * H, H, eps, statistics(row) + kGruH + kGruNew);
  }

  // Reset before the product, first half: r and z, and r h, which enters the product of n.
  template <bool kNorm>
  void gru_reset(const CellRow<T>& row) const {
    T* gates = kept(row.products);
    if constexpr (kNorm) measure_gates(row.products);
    const Normed<T> x = x_gates(row.products), h = h_gates(row.products);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> q[2] = {gate_input<kNorm, kFull>(row.products, x, h, 0, 1, j, n),
                     gate_input<kNorm, kFull>(row.products, x, h, 1, 2, j, n)};
      activate<T, 2, 0>(q);
      store_part<kFull>(gates + H + j, q[0], n);
      store_part<kFull>(gates + 2 * H + j, q[1], n);
      store_part<kFull>(row.inner + j, q[0] * load_part<kFull>(row.entering + j, n), n);
    });
  }

  // Second half, after the product of n is in its column.
  void renew(const CellRow<T>& row) const { scan.layout.norm ? gru_renew<true>(row) : gru_renew<false>(row); }
  template <bool kNorm>
  void gru_renew(const CellRow<T>& row) const {
    T* gates = kept(row.products);
    if constexpr (kNorm) measure_new(row.products);
    const Normed<T> x = x_new(row.products), h = h_new(row.products);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> candidate = tanh<T>(gate_input<kNorm, kFull>(row.products, x, h, 2, 0, j, n));
      const Vec<T> z = load_part<kFull>(gates + 2 * H + j, n);
      store_part<kFull>(gates + j, candidate, n);
      put_output<kFull>(row, candidate + z * (load_part<kFull>(row.h_before + j, n) - candidate), j, n);
    });
  }

  // Reset after the product, layer-normalised; the gates kept are n r z and the h side of n.
  void gru_after_normalised(const CellRow<T>& row) const {
    measure_gates(row.products);
    measure_new(row.products);
    T* gates = kept(row.products);
    const Normed<T> x = x_gates(row.products), h = h_gates(row.products);
    const Normed<T> x_candidate = x_new(row.products), h_candidate = h_new(row.products);
    for_vectors<T>(0, H, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      Vec<T> q[2] = {gate_input<true, kFull>(row.products, x, h, 0, 1, j, n),
                     gate_input<true, kFull>(row.products, x, h, 1, 2, j, n)};
      activate<T, 2, 0>(q);
      const i64 w = 2 * H + j;
      Vec<T> hidden = h_candidate.template operator()<kFull>(j, n);
      Vec<T> candidate = x_candidate.template operator()<kFull>(j, n);
      if (b_ih != nullptr) {
        hidden += load_part<kFull>(b_hh + w, n);
        candidate += load_part<kFull>(b_ih + w, n);
      }
      candidate = tanh<T>(candidate + q[0] * hidden);
      store_part<kFull>(gates + j, candidate, n);
      store_part<kFull>(gates + H + j, q[0], n);
      store_part<kFull>(gates + 2 * H + j, q[1], n);
      store_part<kFull>(gates + 3 * H + j, hidden, n);
      put_output<kFull>(row, candidate + q[1] * (load_part<kFull>(row.h_before + j, n) - candidate), j, n);
    });
  }

  // Everything after the products of h, but a projection and the second half of a GRU that resets before its product.
  void run(const CellRow<T>& row, i64 begin, i64 end) const {
    const bool norm = scan.layout.norm, coupled = p.coupled;
    switch (p.kind) {
      case kElmanTanh: return elman<kElmanTanh>(row, begin, end);
      case kElmanRelu: return elman<kElmanRelu>(row, begin, end);
      case kElmanSigmoid: return elman<kElmanSigmoid>(row, begin, end);
      case kLSTM:
        if (norm) return coupled ? lstm<true, true>(row, begin, end) : lstm<true, false>(row, begin, end);
        return coupled ? lstm<false, true>(row, begin, end) : lstm<false, false>(row, begin, end);
      case kGRUAfter: return norm ? gru_after_normalised(row) : gru_after(row, begin, end);
      default: return norm ? gru_reset<true>(row) : gru_reset<false>(row);
    }
  }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
