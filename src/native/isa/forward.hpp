// The scan forward, for training (everything that backward needs is saved) and for inference.
#pragma once

#include <new>

#include "cells.hpp"

namespace recurra {
namespace RECURRA_ISA {

// The weights of a scan's products, packed.
template <class T>
struct Weights {
  Bands<T> input, hidden, inner, projection;
  i64 size = 0;

  static Weights of(const Scan<T>& scan, int unit) {
    const Layout& l = scan.layout;
    Weights w;
    w.input = Bands<T>::of(scan, l.input, scan.I, 0, unit);
    w.hidden = Bands<T>::of(scan, l.hidden, scan.O, w.input.size, unit);
    w.size = w.input.size + w.hidden.size;
    if (l.before) {
      w.inner = Bands<T>::of(scan, l.inner, scan.H, w.size, unit);
      w.size += w.inner.size;
    }
    if (l.projected) {
      w.projection.per_unit = 1;
      w.projection.bands[0] = {0, scan.O, w.size};
      w.size += w.projection.bands[0].template vectors<T>() * kLanes<T> * scan.H;
    }
    return w;
  }
};

template <class T>
class Forward {
 public:
  explicit Forward(const Problem& problem) : scan_(problem), p_(problem) {}

  i64 packed_size() const { return Weights<T>::of(scan_, 0).size; }
  // As T, or rounded to bfloat16.
  void pack_all() {
    if (!p_.packed_half) return pack(Scan<T>::at(p_.packed), 0, 1);
    if constexpr (sizeof(T) == 4) {
      const i64 size = packed_size();
      const Scratch scratch(size * static_cast<i64>(sizeof(T)));
      T* whole = reinterpret_cast<T*>(scratch.data());
      pack(whole, 0, 1);
      BFloat16* half = Scan<T>::template at<BFloat16>(p_.packed);
      for (i64 i = 0; i < size; i++) half[i] = round_to_half(whole[i]);
    }
  }

  void run() {
    Arena count(nullptr);
    take(count);
    const Scratch scratch(count.used());
    Arena arena(scratch.data());
    take(arena);
    scan_.fill();
    set_bias();
    all_.expect(scan_.num_threads);
    run_parallel(scan_.num_threads, [](int index, void* self) { static_cast<Forward*>(self)->work(index); }, this);
  }

 private:
  // A thread's own memory, and what the threads that share a row's units have in common.
  struct Own {
    T *x, *entering, *hidden, *projected;
  };
  struct Shared {
    T *products, *cells;
    Barrier barrier;
  };

  void take(Arena& arena) {
    const i64 rows = scan_.max_rows;
    scan_.take(arena);
    bias_ = arena.template take<T>(scan_.columns + 64);
    if (p_.packed == 0) packed_ = arena.template take<T>(Weights<T>::of(scan_, 0).size);
    shared_ = arena.template take<Shared>(scan_.num_row_threads());
    for (int i = 0; i < scan_.num_row_threads(); i++) {
      Shared shared{};
      shared.products = arena.template take<T>(p_.save ? 0 : chunk_capacity() * scan_.columns);
      shared.cells = arena.template take<T>(p_.save || !scan_.has_cells() ? 0 : rows * scan_.H);
      if (shared_ != nullptr) {
        new (shared_ + i) Shared();
        shared_[i].products = shared.products;
        shared_[i].cells = shared.cells;
        shared_[i].barrier.expect(scan_.num_units);
      }
    }
    own_ = arena.template take<Own>(scan_.num_threads);
    for (int i = 0; i < scan_.num_threads; i++) {
      Own own{};
      own.x = arena.template take<T>(chunk_capacity() * scan_.I);
      own.entering = arena.template take<T>(rows * scan_.O);
      own.hidden = arena.template take<T>(!p_.save && has_hidden() ? rows * scan_.H : 0);
      own.projected = arena.template take<T>(scan_.layout.projected ? rows * scan_.O : 0);
      if (own_ != nullptr) own_[i] = own;
    }
  }
  bool has_hidden() const { return scan_.layout.before || scan_.layout.projected; }

  // The product of x is taken for several steps at once where a step has too few rows to fill the registers, or its
  // weights are too many to be read at each step.
  bool is_chunked() const { return scan_.max_rows < 4 || has_far_inputs(); }
  bool has_far_inputs() const {
    return scan_.layout.input.size() * scan_.H * scan_.I * static_cast<i64>(sizeof(T)) > kNearBytes;
  }
  // Rows whose products of x are taken at once.
  i64 chunk_capacity() const {
    return is_chunked() ? max(has_far_inputs() ? 192 : 48, scan_.max_rows) : scan_.max_rows;
  }

  // ---- before the first step ----
  void set_bias() {
    const Layout& l = scan_.layout;
    clear(bias_, scan_.columns + 64);
    if (p_.b_ih == 0 || l.norm) return;
    const T *ih = Scan<T>::template at<const T>(p_.b_ih), *hh = Scan<T>::template at<const T>(p_.b_hh);
    const i64 H = scan_.H;
    auto add = [&](const Product& product, const T* source) {
      for (int g = 0; g < product.size(); g++) {
        T* target = bias_ + (product.begin + g) * H;
        for (i64 j = 0; j < H; j++) target[j] += source[product.gates[g] * H + j];
      }
    };
    add(l.input, ih);
    add(l.hidden, hh);
    if (l.before) add(l.inner, hh);
  }

  // Packs the panels index, index + step, ... of all weights.
  void pack(T* packed, int index, int step) {
    const Layout& l = scan_.layout;
    const T *ih = Scan<T>::template at<const T>(p_.w_ih), *hh = Scan<T>::template at<const T>(p_.w_hh),
            *hr = Scan<T>::template at<const T>(p_.w_hr);
    i64 number = 0;
    for (int unit = 0; unit < scan_.num_units; unit++) {
      const Weights<T> w = Weights<T>::of(scan_, unit);
      auto each = [&](const Bands<T>& bands, const Product& product, const T* weight, i64 depth) {
        for (int i = 0; i < bands.per_unit; i++) {
          const Band& band = bands.bands[i];
          for (i64 panel = 0; panel < band.template panels<T>(); panel++) {
            if (number++ % step != index) continue;
            pack_columns<T>(packed, band, panel, panel + 1, depth, [&](i64 column) {
              const i64 gate = column / scan_.H - product.begin;
              return weight + (product.gates[gate] * scan_.H + column % scan_.H) * depth;
            });
          }
        }
      };
      each(w.input, l.input, ih, scan_.I);
      each(w.hidden, l.hidden, hh, scan_.O);
      if (l.before) each(w.inner, l.inner, hh, scan_.H);
    }
    if (l.projected) {
      const Weights<T> w = Weights<T>::of(scan_, 0);
      for (i64 panel = 0; panel < w.projection.bands[0].template panels<T>(); panel++) {
        if (number++ % step != index) continue;
        pack_columns<T>(packed, w.projection.bands[0], panel, panel + 1, scan_.H,
                        [&](i64 column) { return hr + column * scan_.H; });
      }
    }
  }

  // ---- the steps ----
  void work(int index) {
    if (p_.packed == 0) {
      pack(packed_, index, scan_.num_threads);
      all_.wait();
    }
    const int unit = index % scan_.num_units;
    Shared& shared = shared_[index / scan_.num_units];
    const Weights<T> weights = Weights<T>::of(scan_, unit);
    auto run_groups = [&](const auto& worker) {
      for (i64 g = index / scan_.num_units; g < scan_.num_groups; g += scan_.num_row_threads()) {
        run_group(worker, scan_.groups[g]);
      }
    };
    if constexpr (sizeof(T) == 4) {
      if (p_.packed && p_.packed_half) {
        const BFloat16* packed = Scan<T>::template at<const BFloat16>(p_.packed);
        return run_groups(Worker<BFloat16>{weights, packed, own_[index], shared, unit});
      }
    }
    const T* packed = p_.packed ? Scan<T>::template at<const T>(p_.packed) : packed_;
    run_groups(Worker<T>{weights, packed, own_[index], shared, unit});
  }

  // A thread, and what it works with; S is what the weights are stored as.
  template <class S>
  struct Worker {
    Weights<T> weights;
    const S* packed;
    const Own& own;
    Shared& shared;
    int unit;
  };

  template <class S>
  void run_group(const Worker<S>& w, const Group& group) {
    const Cell<T> cell(scan_);
    const i64 columns = scan_.columns, begin = scan_.unit_begin(w.unit), end = scan_.unit_end(w.unit);
    T* cells = p_.save ? Scan<T>::at(p_.cells) : w.shared.cells;
    T* saved = p_.save ? Scan<T>::at(p_.gates) : w.shared.products;
    i64 chunk_begin = 0, chunk_end = 0;  // steps whose product of x is there
    for (i64 step = 0; step < group.num_steps; step++) {
      if (is_chunked() && step == chunk_end) {
        chunk_begin = step;
        while (chunk_end < group.num_steps &&
               (chunk_end == step || group.starts[chunk_end + 1] - group.starts[step] <= chunk_capacity())) {
          chunk_end++;
        }
        multiply_chunk(w, group, chunk_begin, chunk_end, saved + (p_.save ? group.starts[step] * columns : 0));
      }
      const i64 first = p_.save ? group.starts[step] : is_chunked() ? group.starts[step] - group.starts[chunk_begin] : 0;
      T* products = saved + first * columns;
      const Rows<T> entering = entering_rows(w, group, step);
      multiply_step(w, group, step, products, entering);
      CellRow<T> row;
      for (i64 r = 0; r < group.active(step); r++) {
        if (r == 0 || !scan_.is_uniform()) {
          row = row_at(w, group, step, r, scan_.row(group, r), products, cells, entering);
        } else {
          row.advance(columns, entering.stride, scan_.H, scan_.layout.projected ? scan_.H : scan_.O);
        }
        cell.run(row, begin, end);
      }
      if (scan_.layout.before) renew(w, group, step, products, cells, entering, cell);
      if (scan_.layout.projected) project(w, group, step);
      w.shared.barrier.wait();
    }
    finish(w, group, cells);
  }

  template <class S>
  CellRow<T> row_at(const Worker<S>& w, const Group& group, i64 step, i64 r, i64 b, T* products, T* cells,
                    const Rows<T>& entering) {
    const i64 H = scan_.H;
    CellRow<T> row{};
    row.h_before_stride = step == 0 && p_.h0 == 0 ? 0 : scan_.O;
    row.c_before_stride = step == 0 && p_.c0 == 0 ? 0 : H;
    row.products = products + r * scan_.columns;
    const bool more = p_.save && step + 1 < group.num_steps && r < group.active(step + 1);
    row.next = more ? row.products + (group.starts[step + 1] - group.starts[step]) * scan_.columns : row.products;
    row.entering = entering.data + r * entering.stride;
    row.h_before = scan_.h_before(b, step);
    if (scan_.has_cells()) {
      row.c = cells + (p_.save ? group.starts[step] + r : r) * H;
      row.c_before = scan_.is_fresh(b, step) || step == 0 || p_.save ? scan_.c_before(group, r, b, step, cells) : row.c;
      row.keep_c = scan_.keep(b, step, 1);
    }
    row.inner = has_hidden() ? hidden_rows(w, group, step) + r * H : nullptr;
    row.output = scan_.layout.projected ? row.inner : scan_.y_row(b, step);
    row.keep_h = scan_.keep(b, step, 0);
    return row;
  }
  template <class S>
  T* hidden_rows(const Worker<S>& w, const Group& group, i64 step) {
    return p_.save ? Scan<T>::at(p_.hidden) + group.starts[step] * scan_.H : w.own.hidden;
  }

  // ---- the products ----
  template <class S>
  Rows<T> x_rows(const Worker<S>& w, const Group& group, i64 begin, i64 end) {
    const i64 I = scan_.I, first = scan_.row(group, 0);
    if (end == begin + 1 && !scan_.has_lengths()) return {scan_.x_row(first, begin), p_.x_b, I};
    T* target = w.own.x;
    for (i64 step = begin; step < end; step++) {
      for (i64 r = 0; r < group.active(step); r++, target += I) copy(target, scan_.x_row(scan_.row(group, r), step), I);
    }
    return {w.own.x, I, I};
  }

  template <class S>
  Rows<T> entering_rows(const Worker<S>& w, const Group& group, i64 step) {
    const i64 O = scan_.O, first = scan_.row(group, 0);
    if (!scan_.has_lengths() && p_.mask == 0 && !scan_.any_fresh(group, step)) {
      const bool is_zero = step == 0 && p_.h0 == 0;
      return {scan_.h_before(first, step), is_zero ? 0 : O, O};
    }
    for (i64 r = 0; r < group.active(step); r++) scan_.enter(w.own.entering + r * O, scan_.row(group, r), step);
    return {w.own.entering, O, O};
  }

  // products = start + first . weights (+ second . those in `also`, which fill the same columns)
  template <class S>
  void multiply(const Worker<S>& w, const Bands<T>& bands, T* products, const T* start, i64 start_stride,
                const Rows<T>& first, i64 rows, const Bands<T>* also = nullptr, const Rows<T>& second = {}) {
    for (int i = 0; i < bands.per_unit; i++) {
      const S* others = also ? w.packed + also->bands[i].offset : nullptr;
      multiply_rows<T, S>(products, scan_.columns, start, start_stride, bands.bands[i],
                          {first, w.packed + bands.bands[i].offset}, {second, others}, rows);
    }
  }

  template <class S>
  void multiply_chunk(const Worker<S>& w, const Group& group, i64 begin, i64 end, T* products) {
    const Rows<T> x = x_rows(w, group, begin, end);
    multiply(w, w.weights.input, products, bias_, 0, x, group.starts[end] - group.starts[begin]);
  }

  template <class S>
  void multiply_step(const Worker<S>& w, const Group& group, i64 step, T* products, const Rows<T>& entering) {
    const Layout& l = scan_.layout;
    const i64 rows = group.active(step), columns = scan_.columns;
    if (!is_chunked()) {
      const Rows<T> x = x_rows(w, group, step, step + 1);
      if (l.is_merged()) {
        return multiply(w, w.weights.input, products, bias_, 0, x, rows, &w.weights.hidden, entering);
      }
      multiply(w, w.weights.input, products, bias_, 0, x, rows);
    }
    if (l.hidden.begin >= l.input.end) {
      return multiply(w, w.weights.hidden, products, bias_, 0, entering, rows);
    }
    // Columns of h alone start from their bias.
    for (int gate = l.input.end; gate < l.hidden.end; gate++) {
      const i64 j = gate * scan_.H + scan_.unit_begin(w.unit), size = scan_.unit_end(w.unit) - scan_.unit_begin(w.unit);
      for (i64 r = 0; r < rows; r++) copy(products + r * columns + j, bias_ + j, size);
    }
    multiply(w, w.weights.hidden, products, products, columns, entering, rows);
  }

  // The second product of a GRU that resets before it, and what follows.
  template <class S>
  void renew(const Worker<S>& w, const Group& group, i64 step, T* products, T* cells, const Rows<T>& entering,
             const Cell<T>& cell) {
    const i64 H = scan_.H, rows = group.active(step);
    const bool adds = !scan_.layout.norm;
    multiply(w, w.weights.inner, products, adds ? products : bias_, adds ? scan_.columns : 0,
             {hidden_rows(w, group, step), H, H}, rows);
    for (i64 r = 0; r < rows; r++) {
      const i64 b = scan_.row(group, r);
      cell.renew(row_at(w, group, step, r, b, products, cells, entering));
    }
  }

  template <class S>
  void project(const Worker<S>& w, const Group& group, i64 step) {
    const i64 H = scan_.H, O = scan_.O, rows = group.active(step);
    const Band& band = w.weights.projection.bands[0];
    multiply_rows<T, S>(w.own.projected, O, scan_.zeros, 0, band,
                        {{hidden_rows(w, group, step), H, H}, w.packed + band.offset}, {}, rows);
    for (i64 r = 0; r < rows; r++) {
      const i64 b = scan_.row(group, r);
      const auto keep = scan_.keep(b, step, 0);
      const T *before = scan_.h_before(b, step), *source = w.own.projected + r * O;
      T* target = scan_.y_row(b, step);
      for_vectors<T>(0, O, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
        constexpr bool kFull = decltype(full)::value;
        Vec<T> h = load_part<kFull>(source + j, n);
        if (keep.active) h = keep.blend(j, load_part<kFull>(before + j, n), h);
        store_part<kFull>(target + j, h, n);
      });
    }
  }

  // The states after each row's last step, and zeros on padding.
  template <class S>
  void finish(const Worker<S>& w, const Group& group, const T* cells) {
    const i64 H = scan_.H, O = scan_.O;
    const bool alone = scan_.num_units == 1;
    const i64 begin = scan_.unit_begin(w.unit), end = alone ? O : scan_.unit_end(w.unit);
    for (i64 r = 0; r < group.num_rows; r++) {
      const i64 b = scan_.row(group, r), length = scan_.length(b);
      const T* h = length > 0 ? scan_.y_row(b, length - 1) : scan_.or_zeros(p_.h0, b * O);
      copy(Scan<T>::at(p_.h_T) + b * O + begin, h + begin, end - begin);
      if (scan_.has_cells()) {
        const T* c = length == 0 ? scan_.or_zeros(p_.c0, b * H)
                                 : cells + (p_.save ? group.starts[length - 1] + r : r) * H;
        copy(Scan<T>::at(p_.c_T) + b * H + begin, c + begin, (alone ? H : end) - begin);
      }
      for (i64 t = length; t < scan_.T_; t++) clear(Scan<T>::at(p_.y) + (t * scan_.B + b) * O + begin, end - begin);
    }
  }

  Scan<T> scan_;
  const Problem& p_;
  Barrier all_;
  Shared* shared_ = nullptr;
  Own* own_ = nullptr;
  T *bias_ = nullptr, *packed_ = nullptr;
};

}  // namespace RECURRA_ISA
}  // namespace recurra
