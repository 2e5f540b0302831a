// The scan backward: through the steps from the last to the first, and after each chunk of them, while its numbers are
// near, the products over all its steps at once.
#pragma once

#include <new>

#include "gradients.hpp"

namespace recurra {
namespace RECURRA_ISA {

constexpr i64 kDirectRows = 128;  // up to so many numbers a sample, its columns are not worth packing
constexpr i64 kSampleRows = 128;  // rows whose share of the weights' gradients is added up in one go
constexpr i64 kManyRows = 3 * kSampleRows;  // of a chunk, where those gradients are too many for the cache

template <class T>
class Backward {
 public:
  explicit Backward(const Problem& problem) : scan_(problem), p_(problem), width_(columns_width()) {}

  void run() {
    Arena count(nullptr);
    take(count);
    const Scratch scratch(count.used());
    Arena arena(scratch.data());
    take(arena);
    scan_.fill();
    all_.expect(scan_.num_threads);
    run_parallel(scan_.num_threads, [](int index, void* self) { static_cast<Backward*>(self)->work(index); }, this);
  }

 private:
  // What the threads that share a row's units have in common. Gradients of the products are kept for a chunk of steps,
  // and for the chunk after it, which reads the first of them.
  struct Shared {
    T *dh, *direct, *dc, *inner, *raw, *columns[2], *projected, *weight_sums;
    Barrier barrier;
  };
  struct Own {
    T *entering, *sums, *samples, *values, *dx;
  };

  // Rows of the weights' gradients that the same columns give, from the same numbers of each sample.
  struct Job {
    i64 first, size;  // numbers of a gathered sample
    Product product;
    i64 offset;  // of the sums, in numbers
  };

  i64 columns_width() const { return round_up(scan_.layout.num_columns * scan_.H, 16); }
  Band band_of(const Product& product) const { return {product.begin * scan_.H, product.end * scan_.H, 0}; }

  void take(Arena& arena) {
    const Layout& l = scan_.layout;
    const i64 rows = scan_.max_rows, H = scan_.H, O = scan_.O, I = scan_.I;
    scan_.take(arena);
    packed_ = arena.template take<T>(plan_weights());
    shared_ = arena.template take<Shared>(scan_.num_row_threads());
    plan_jobs();
    for (int i = 0; i < scan_.num_row_threads(); i++) {
      Shared unused{};
      Shared& s = shared_ == nullptr ? unused : *new (shared_ + i) Shared();
      s.dh = arena.template take<T>(rows * O);
      s.direct = arena.template take<T>(rows * O);
      s.dc = arena.template take<T>(scan_.has_cells() ? rows * H : 0);
      s.inner = arena.template take<T>(l.before ? rows * H : 0);
      s.raw = arena.template take<T>(l.projected ? rows * H : 0);
      for (T*& columns : s.columns) columns = arena.template take<T>(chunk_capacity() * width_);
      s.projected = arena.template take<T>(l.projected ? chunk_capacity() * O : 0);
      s.weight_sums = arena.template take<T>(job_numbers_);
      s.barrier.expect(scan_.num_units);
    }
    own_ = arena.template take<Own>(scan_.num_threads);
    for (int i = 0; i < scan_.num_threads; i++) {
      Own own{};
      own.entering = arena.template take<T>(O);
      own.sums = arena.template take<T>(Sums<T>::size(scan_));
      own.samples = arena.template take<T>(chunk_capacity() * sample_size());
      own.values = arena.template take<T>(chunk_capacity() * kPanelVectors * kLanes<T>);
      own.dx = arena.template take<T>(p_.dx ? chunk_capacity() * I : 0);
      if (own_ != nullptr) own_[i] = own;
    }
  }
  i64 chunk_capacity() const {
    const i64 weights = scan_.layout.num_gates * scan_.H * (scan_.I + scan_.O) * static_cast<i64>(sizeof(T));
    return max(weights > kUnitSplitBytes ? kManyRows : kSampleRows, scan_.max_rows);
  }

  // ---- packed weights: columns of h (by unit), of r h, of what is projected, of x ----
  i64 plan_weights() {
    const Layout& l = scan_.layout;
    i64 offset = hidden_band(scan_.num_units).offset;
    auto add = [&](Band& band, i64 begin, i64 end, i64 depth) {
      band = {begin, end, offset};
      offset += band.template vectors<T>() * kLanes<T> * depth;
    };
    if (l.before) add(inner_band_, 0, scan_.H, scan_.H);
    if (l.projected) add(raw_band_, 0, scan_.H, scan_.O);
    if (p_.dx) add(x_band_, 0, scan_.I, l.input.size() * scan_.H);
    if (p_.dx && scan_.I <= kFewColumns) offset = max(offset, x_band_.offset + scan_.I * l.input.size() * scan_.H);
    return offset;
  }
  // That of a unit; of the one behind the last, where the next kind begins.
  Band hidden_band(int unit) const {
    i64 offset = 0;
    for (int u = 0;; u++) {
      const Band band{scan_.unit_begin(u), scan_.num_units == 1 ? scan_.O : scan_.unit_end(u), offset};
      if (u == unit) return band;
      offset += band.template vectors<T>() * kLanes<T> * scan_.layout.hidden.size() * scan_.H;
    }
  }

  void pack(int index) {
    const Layout& l = scan_.layout;
    const i64 H = scan_.H;
    i64 number = 0;
    auto each = [&](const Band& band, i64 depth, auto&& row) {
      for (i64 panel = 0; panel < band.template panels<T>(); panel++) {
        if (number++ % scan_.num_threads != index) continue;
        pack_rows<T>(packed_, band, panel, panel + 1, depth, row);
      }
    };
    auto rows_of = [&](const Product& product, const T* weight, i64 size) {
      return [&product, weight, size, H](i64 k) { return weight + (product.gates[k / H] * H + k % H) * size; };
    };
    const T *ih = Scan<T>::template at<const T>(p_.w_ih), *hh = Scan<T>::template at<const T>(p_.w_hh),
            *hr = Scan<T>::template at<const T>(p_.w_hr);
    for (int unit = 0; unit < scan_.num_units; unit++) {
      each(hidden_band(unit), l.hidden.size() * H, rows_of(l.hidden, hh, scan_.O));
    }
    if (l.before) each(inner_band_, H, rows_of(l.inner, hh, H));
    if (l.projected) each(raw_band_, scan_.O, [&](i64 k) { return hr + k * H; });
    if (!p_.dx) return;
    const auto row = rows_of(l.input, ih, scan_.I);
    if (scan_.I > kFewColumns) return each(x_band_, l.input.size() * H, row);
    if (index != 0) return;
    T* target = packed_ + x_band_.offset;
    for (i64 i = 0; i < scan_.I; i++) {
      for (i64 k = 0; k < l.input.size() * H; k++) *target++ = row(k)[i];
    }
  }

  // ---- the steps ----
  struct Worker {
    const Own& own;
    Shared& shared;
    int unit, index;
    Band hidden;
  };

  void work(int index) {
    pack(index);
    const Own& own = own_[index];
    clear(own.sums, Sums<T>::size(scan_));
    all_.wait();
    const int unit = index % scan_.num_units, row_thread = index / scan_.num_units;
    const Worker w{own, shared_[row_thread], unit, index, hidden_band(unit)};
    for_panels(unit, scan_.num_units, [&](const Panel& panel) {
      clear(w.shared.weight_sums + panel.sums, panel.vectors * kLanes<T> * panel.size);
    });
    for (i64 g = row_thread; g < scan_.num_groups; g += scan_.num_row_threads()) run_group(w, scan_.groups[g]);
    if (p_.dx) clear_padding(index);
    all_.wait();
    write_gradients(index);
    if (index == 0) add_sums();
  }

  // Whether anything of dh reaches the old h past the products.
  bool has_direct() const { return scan_.layout.gru || p_.zoneout_h > 0; }

  void run_group(const Worker& w, const Group& group) {
    const CellGradient<T> cell(scan_, Sums<T>::at(w.own.sums, scan_));
    const i64 begin = scan_.unit_begin(w.unit), end = scan_.unit_end(w.unit);
    for (i64 r = 0; r < group.num_rows; r++) {
      const i64 b = scan_.row(group, r);
      if (p_.dh_init) clear(Scan<T>::at(p_.dh_init) + b * scan_.O + w.hidden.begin, w.hidden.end - w.hidden.begin);
      if (p_.dc_init) clear(Scan<T>::at(p_.dc_init) + b * scan_.H + begin, end - begin);
    }
    const T* later_columns = nullptr;  // of the step after
    int buffer = 0;
    for (i64 stop = group.num_steps; stop > 0;) {
      i64 start = stop - 1;
      while (start > 0 && group.starts[stop] - group.starts[start - 1] <= chunk_capacity()) start--;
      T* chunk = w.shared.columns[buffer];
      for (i64 step = stop - 1; step >= start; step--) {
        const i64 rows = group.active(step), later = step + 1 < group.num_steps ? group.active(step + 1) : 0;
        const i64 place = group.starts[step] - group.starts[start];
        T* columns = chunk + place * width_;
        const bool has_dy = carry(w, group, step + 1, later, later_columns);
        for (i64 r = later; r < rows; r++) end_row(w, group, r);
        for (i64 r = 0; r < rows; r++) receive(w, group, step, r, has_dy && r < later);
        if (scan_.layout.projected) unproject(w, rows, w.shared.projected + place * scan_.O);
        GradientRow<T> row;
        for (i64 r = 0; r < rows; r++) {
          if (r == 0 || !scan_.is_uniform() || scan_.layout.before) {
            row = row_at(w, group, step, r, columns);
          } else {
            row.advance(scan_.columns, width_, scan_.H, scan_.O, scan_.layout.projected ? scan_.H : scan_.O);
          }
          cell.run(row, begin, end);
        }
        if (scan_.layout.before) {
          multiply(w.shared.inner, scan_.H, scan_.zeros, 0, inner_band_,
                   {columns + scan_.layout.inner.begin * scan_.H, width_, scan_.H}, rows);
          for (i64 r = 0; r < rows; r++) cell.reset(row_at(w, group, step, r, columns));
        }
        later_columns = columns;
        w.shared.barrier.wait();
      }
      if (p_.dx) input_gradients(w, group, start, stop, chunk);
      if (wants_weights()) weight_gradients(w, group, start, stop, chunk);
      stop = start;
      buffer = 1 - buffer;
    }
    if (group.num_steps > 0) carry(w, group, 0, group.active(0), later_columns);
    start_rows(w, group);
    w.shared.barrier.wait();
  }

  GradientRow<T> row_at(const Worker& w, const Group& group, i64 step, i64 r, T* columns) const {
    const i64 b = scan_.row(group, r), H = scan_.H, O = scan_.O;
    GradientRow<T> row{};
    row.h_before_stride = step == 0 && p_.h0 == 0 ? 0 : O;
    row.c_before_stride = step == 0 && p_.c0 == 0 ? 0 : H;
    row.saved = Scan<T>::template at<const T>(p_.gates) + (group.starts[step] + r) * scan_.columns;
    row.next = step > 0 ? row.saved - (group.starts[step] - group.starts[step - 1]) * scan_.columns : row.saved;
    row.columns = columns + r * width_;
    row.h_before = scan_.h_before(b, step);
    row.dh = scan_.layout.projected ? w.shared.raw + r * H : w.shared.dh + r * O;
    row.direct = w.shared.direct + r * O;
    if (scan_.has_cells()) {
      row.dc = w.shared.dc + r * H;
      row.c_before = scan_.c_before(group, r, b, step, Scan<T>::template at<const T>(p_.cells));
      row.keep_c = scan_.keep(b, step, 1);
    }
    if (scan_.layout.before) {
      row.inner = w.shared.inner + r * H;
      scan_.enter(w.own.entering, b, step);
      row.entering = w.own.entering;
    }
    return row;
  }

  void multiply(T* target, i64 target_stride, const T* start, i64 start_stride, const Band& band, const Rows<T>& a,
                i64 rows) const {
    multiply_rows<T, T>(target, target_stride, start, start_stride, band, {a, packed_ + band.offset}, {}, rows);
  }

  // dh before `step` of the rows active then: through the products (`step_columns`), past them, or to the initial
  // state. Returns whether dy of the step before is in it already.
  bool carry(const Worker& w, const Group& group, i64 step, i64 rows, const T* step_columns) {
    if (rows == 0) return false;
    const Layout& l = scan_.layout;
    Shared& s = w.shared;
    const i64 O = scan_.O, H = scan_.H;
    const i64 begin = w.hidden.begin, end = w.hidden.end;
    const Rows<T> columns{step_columns + l.hidden.begin * H, width_, l.hidden.size() * H};
    const bool plain = !has_direct() && p_.mask == 0 && p_.reset == 0;
    const T* start = l.before ? s.inner : scan_.zeros;
    i64 stride = l.before ? H : 0;
    const bool has_dy = plain && step > 0 && p_.dy && !scan_.has_lengths();
    if (has_dy) {
      const i64 b = scan_.row(group, 0);
      start = dy_row(b, step - 1);
      stride = p_.dy_b;
    }
    multiply(s.dh, O, start, stride, w.hidden, columns, rows);
    if (plain) return has_dy;
    for (i64 r = 0; r < rows; r++) {
      const i64 b = scan_.row(group, r);
      T *dh = s.dh + r * O, *direct = s.direct + r * O;
      const T* mask = p_.mask ? Scan<T>::template at<const T>(p_.mask) + b * O : nullptr;
      for_vectors<T>(begin, end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
        constexpr bool kFull = decltype(full)::value;
        Vec<T> d = load_part<kFull>(dh + j, n);
        if (mask) d *= load_part<kFull>(mask + j, n);
        if (has_direct()) d += load_part<kFull>(direct + j, n);
        store_part<kFull>(dh + j, d, n);
      });
      if (!scan_.is_fresh(b, step)) continue;
      give(p_.dh_init, b * O, dh, begin, end);
      if (scan_.has_cells()) {
        const bool alone = scan_.num_units == 1;
        give(p_.dc_init, b * H, s.dc + r * H, alone ? 0 : begin, alone ? H : end);
      }
    }
    return false;
  }
  // Add values[begin..end) to the gradient at `address`, if it is wanted, and clear them.
  void give(i64 address, i64 offset, T* values, i64 begin, i64 end) const {
    T* target = address ? Scan<T>::at(address) + offset : nullptr;
    for (i64 j = begin; j < end; j++) {
      if (target) target[j] += values[j];
      values[j] = 0;
    }
  }

  const T* dy_row(i64 b, i64 step) const {
    return Scan<T>::template at<const T>(p_.dy) + b * p_.dy_b + scan_.time(b, step) * p_.dy_t;
  }

  // A row's last step: what comes from the final state.
  void end_row(const Worker& w, const Group& group, i64 r) {
    const i64 b = scan_.row(group, r), O = scan_.O, H = scan_.H, begin = w.hidden.begin, end = w.hidden.end;
    copy(w.shared.dh + r * O + begin, scan_.or_zeros(p_.dh_T, b * O) + begin, end - begin);
    if (!scan_.has_cells()) return;
    const i64 first = scan_.unit_begin(w.unit);
    copy(w.shared.dc + r * H + first, scan_.or_zeros(p_.dc_T, b * H) + first, scan_.unit_end(w.unit) - first);
  }

  // dy comes in, and zoneout sends its share of dh straight to the old h.
  void receive(const Worker& w, const Group& group, i64 step, i64 r, bool has_dy) {
    const i64 b = scan_.row(group, r), O = scan_.O;
    const auto keep = scan_.keep(b, step, 0);
    const bool add = p_.dy && !has_dy;
    if (!add && !has_direct()) return;
    T *dh = w.shared.dh + r * O, *direct = w.shared.direct + r * O;
    const T* dy = add ? dy_row(b, step) : scan_.zeros;
    for_vectors<T>(w.hidden.begin, w.hidden.end, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      const Vec<T> d = load_part<kFull>(dh + j, n) + load_part<kFull>(dy + j, n);
      const Vec<T> kept = keep.active ? keep.share_of(j, d) : Vec<T>{};
      store_part<kFull>(dh + j, d - kept, n);
      if (has_direct()) store_part<kFull>(direct + j, kept, n);
    });
  }

  void unproject(const Worker& w, i64 rows, T* projected) {
    const i64 O = scan_.O;
    copy(projected, w.shared.dh, rows * O);
    multiply(w.shared.raw, scan_.H, scan_.zeros, 0, raw_band_, {projected, O, O}, rows);
  }

  // What is left before the first step belongs to the state given.
  void start_rows(const Worker& w, const Group& group) {
    const i64 O = scan_.O, H = scan_.H, begin = w.hidden.begin, end = w.hidden.end;
    const i64 first = scan_.unit_begin(w.unit), last = scan_.unit_end(w.unit);
    for (i64 r = 0; r < group.num_rows; r++) {
      const i64 b = scan_.row(group, r);
      if (scan_.length(b) == 0) end_row(w, group, r);
      if (p_.dh0) copy(Scan<T>::at(p_.dh0) + b * O + begin, w.shared.dh + r * O + begin, end - begin);
      if (p_.dc0) copy(Scan<T>::at(p_.dc0) + b * H + first, w.shared.dc + r * H + first, last - first);
    }
  }

  // ---- products over a chunk of steps, start..stop ----
  void input_gradients(const Worker& w, const Group& group, i64 start, i64 stop, const T* chunk) {
    const i64 I = scan_.I, H = scan_.H, all = group.starts[stop] - group.starts[start];
    const i64 begin = all * w.unit / scan_.num_units, rows = all * (w.unit + 1) / scan_.num_units - begin;
    const Rows<T> columns{chunk + begin * width_ + scan_.layout.input.begin * H, width_, scan_.layout.input.size() * H};
    if (rows == 0) return;
    if (I > kFewColumns) {
      multiply(w.own.dx, I, scan_.zeros, 0, x_band_, columns, rows);
    } else {
      const T* weights = packed_ + x_band_.offset;
      for (i64 r = 0; r < rows; r++) {
        for (i64 i = 0; i < I; i++) {
          w.own.dx[r * I + i] = dot(columns.data + r * width_, weights + i * columns.size, columns.size);
        }
      }
    }
    const T* source = w.own.dx;
    i64 place = 0;
    for (i64 step = start; step < stop; step++) {
      for (i64 r = 0; r < group.active(step); r++, place++) {
        if (place < begin || place >= begin + rows) continue;
        const i64 b = scan_.row(group, r);
        copy(Scan<T>::at(p_.dx) + (scan_.time(b, step) * scan_.B + b) * I, source, I);
        source += I;
      }
    }
  }
  void clear_padding(int index) const {
    if (!scan_.has_lengths()) return;
    for (i64 b = index; b < scan_.B; b += scan_.num_threads) {
      for (i64 t = scan_.length(b); t < scan_.T_; t++) {
        clear(Scan<T>::at(p_.dx) + (t * scan_.B + b) * scan_.I, scan_.I);
      }
    }
  }

  // A sample holds 1, x, what entered the product of h, 1, and (of a GRU that resets before) r h and 1.
  i64 sample_size() const { return scan_.I + scan_.O + 2 + (scan_.layout.before ? scan_.H + 1 : 0); }

  void plan_jobs() {
    const Layout& l = scan_.layout;
    const i64 I = scan_.I, O = scan_.O;
    num_jobs_ = 0;
    job_numbers_ = 0;
    auto add = [&](i64 first, i64 size, const Product& product) {
      jobs_[num_jobs_++] = {first, size, product, job_numbers_};
      job_numbers_ += band_of(product).template vectors<T>() * kLanes<T> * size;
    };
    if (l.is_merged()) {
      add(0, 1 + I + O, l.hidden);
    } else {
      add(0, 1 + I, l.input);
      add(1 + I, O + 1, l.hidden);
    }
    if (l.before) add(2 + I + O, scan_.H + 1, l.inner);
    if (l.projected) {
      projection_offset_ = job_numbers_;
      job_numbers_ += Band{0, scan_.H, 0}.template vectors<T>() * kLanes<T> * O;
    }
  }

  bool wants_weights() const { return p_.dw_ih || p_.dw_hh || p_.db_ih || p_.db_hh || p_.dw_hr; }

  // A panel of the sums of a job; job num_jobs_ is the projection's.
  struct Panel {
    int job;
    Band band;
    i64 index, v0, vectors;  // which of the band's, its first vector there, and how many
    i64 size, sums;   // its rows, and where they are
  };
  // function(panel) for the panels index, index + step, ...
  template <class F>
  void for_panels(int index, int step, F&& function) const {
    i64 number = 0;
    for (int i = 0; i < num_jobs_ + scan_.layout.projected; i++) {
      const bool is_job = i < num_jobs_;
      const Band band = is_job ? band_of(jobs_[i].product) : Band{0, scan_.H, 0};
      const i64 size = is_job ? jobs_[i].size : scan_.O, offset = is_job ? jobs_[i].offset : projection_offset_;
      for (i64 panel = 0; panel < band.template panels<T>(); panel++) {
        const i64 v0 = band.template first<T>(panel), vectors = band.template first<T>(panel + 1) - v0;
        if (number++ % step == index) function(Panel{i, band, panel, v0, vectors, size, offset + v0 * kLanes<T> * size});
      }
    }
  }

  void gather(const Worker& w, const Group& group, i64 start, i64 stop) {
    const i64 I = scan_.I, O = scan_.O, H = scan_.H;
    T* sample = w.own.samples;
    for (i64 step = start; step < stop; step++) {
      for (i64 r = 0; r < group.active(step); r++, sample += sample_size()) {
        const i64 b = scan_.row(group, r);
        sample[0] = 1;
        copy(sample + 1, scan_.x_row(b, step), I);
        scan_.enter(sample + 1 + I, b, step);
        sample[1 + I + O] = 1;
        if (!scan_.layout.before) continue;
        copy(sample + 2 + I + O, Scan<T>::template at<const T>(p_.hidden) + (group.starts[step] + r) * H, H);
        sample[2 + I + O + H] = 1;
      }
    }
  }

  void weight_gradients(const Worker& w, const Group& group, i64 start, i64 stop, const T* chunk) {
    constexpr int W = kLanes<T>;
    const i64 first = group.starts[start], rows = group.starts[stop] - first;
    gather(w, group, start, stop);
    for_panels(w.unit, scan_.num_units, [&](const Panel& panel) {
      const bool is_job = panel.job < num_jobs_;
      const T* a = is_job ? w.own.samples + jobs_[panel.job].first : w.shared.projected;
      const i64 a_stride = is_job ? sample_size() : scan_.O;
      const T* values = is_job ? chunk : Scan<T>::template at<const T>(p_.hidden) + first * scan_.H;
      i64 stride = is_job ? width_ : scan_.H;
      const T* b = values + panel.band.begin + panel.v0 * W;
      // The last vector of a row of `hidden` may not be there in whole.
      if (panel.size > kDirectRows || !is_job) {
        Band part = panel.band;
        part.offset = -panel.v0 * W * rows;  // into the thread's own buffer
        pack_rows<T>(w.own.values, part, panel.index, panel.index + 1, rows, [&](i64 k) { return values + k * stride; });
        b = w.own.values;
        stride = panel.vectors * W;
      }
      T* target = w.shared.weight_sums + panel.sums;
      const i64 num_blocks = divide_up(panel.size, kBlockRows[panel.vectors]);
      const i64 few = panel.size / num_blocks, longer = panel.size % num_blocks;
      for (i64 k = 0; k < rows; k += kSampleRows) {
        for (i64 i = 0, r0 = 0, r1 = 0; i < num_blocks; i++, r0 = r1) {
          r1 = r0 + few + (i < longer);
          kOuterBlocks<T>.block[panel.vectors - 1][r1 - r0 - 1](target + r0 * panel.vectors * W, panel.vectors * W,
                                                           a + k * a_stride + r0, a_stride, b + k * stride, stride,
                                                           min(kSampleRows, rows - k));
        }
      }
    });
  }

  // ---- the results ----
  void write_gradients(int index) {
    if (!wants_weights()) return;
    for_panels(index, scan_.num_threads, [&](const Panel& panel) {
      T* sums = shared_[0].weight_sums + panel.sums;
      const i64 count = panel.vectors * kLanes<T> * panel.size;
      for (int i = 1; i < scan_.num_row_threads(); i++) {
        const T* others = shared_[i].weight_sums + panel.sums;
        for_vectors<T>(0, count, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
          constexpr bool kFull = decltype(full)::value;
          add_part<kFull>(sums + j, load_part<kFull>(others + j, n), n);
        });
      }
      if (panel.job < num_jobs_) {
        write_weights(jobs_[panel.job], panel.job, sums, panel.band, panel.v0, panel.vectors);
      } else {
        write_projection(sums, panel.v0, panel.vectors);
      }
    });
  }

  void write_projection(const T* sums, i64 v0, i64 vectors) const {
    if (!p_.dw_hr) return;
    const i64 column = v0 * kLanes<T>, width = min(vectors * kLanes<T>, scan_.H - column);
    for (i64 k = 0; k < scan_.O; k++) {
      copy(Scan<T>::at(p_.dw_hr) + k * scan_.H + column, sums + k * vectors * kLanes<T>, width);
    }
  }

  // The sums of a job's panel, rows of numbers of a sample, to the rows of the weights' gradients.
  void write_weights(const Job& job, int index, const T* sums, const Band& band, i64 v0, i64 vectors) const {
    const Layout& l = scan_.layout;
    const i64 I = scan_.I, O = scan_.O;
    T *ih = Scan<T>::at(p_.dw_ih), *hh = Scan<T>::at(p_.dw_hh);
    T *bias_ih = l.norm ? nullptr : Scan<T>::at(p_.db_ih), *bias_hh = l.norm ? nullptr : Scan<T>::at(p_.db_hh);
    const Part part{job, band, sums, v0, vectors};
    if (index == 0) {
      write_row(part, 0, bias_ih);
      write_block(part, 1, I, ih);
    }
    if (l.is_merged()) {
      write_row(part, 0, bias_hh);
      write_block(part, 1 + I, O, hh);
    } else if (index > 0) {
      const i64 depth = index == 1 ? O : scan_.H;
      write_block(part, 0, depth, hh);
      write_row(part, depth, bias_hh);
    }
  }

  struct Part {
    const Job& job;
    const Band& band;
    const T* sums;
    i64 v0, vectors;
  };
  i64 weight_row(const Job& job, i64 column) const {
    return job.product.gates[column / scan_.H - job.product.begin] * scan_.H + column % scan_.H;
  }
  void write_row(const Part& part, i64 k, T* target) const {
    if (target == nullptr) return;
    constexpr int W = kLanes<T>;
    const T* source = part.sums + k * part.vectors * W;
    for (i64 i = 0; i < part.vectors * W; i++) {
      const i64 column = part.band.begin + part.v0 * W + i;
      if (column < part.band.end) target[weight_row(part.job, column)] = source[i];
    }
  }
  // target[row of a column][0..depth) = sums[first..first + depth)[column]
  void write_block(const Part& part, i64 first, i64 depth, T* target) const {
    if (target == nullptr) return;
    constexpr int W = kLanes<T>;
    for (i64 v = 0; v < part.vectors; v++) {
      const i64 column = part.band.begin + (part.v0 + v) * W, count = min(W, part.band.end - column);
      for (i64 k = 0; k < depth; k += W) {
        const int some = static_cast<int>(min(W, depth - k));
        Vec<T> square[W];
        for (int i = 0; i < W; i++) {
          square[i] = i < some ? load(part.sums + ((first + k + i) * part.vectors + v) * W) : Vec<T>{};
        }
        transpose<T>(square);
        for (i64 i = 0; i < count; i++) {
          T* row = target + weight_row(part.job, column + i) * depth + k;
          if (some == W) {
            store(row, square[i]);
          } else {
            store_some(row, square[i], some);
          }
        }
      }
    }
  }

  // The gradients that each thread added up for itself.
  void add_sums() {
    const Sums<T> total = Sums<T>::at(own_[0].sums, scan_);
    const i64 size = Sums<T>::size(scan_), gates = scan_.layout.num_gates * scan_.H;
    for (int i = 1; i < scan_.num_threads; i++) {
      for (i64 j = 0; j < size; j++) own_[0].sums[j] += own_[i].sums[j];
    }
    auto put = [&](i64 address, const T* source, i64 count) {
      if (address) copy(Scan<T>::at(address), source, count);
    };
    if (p_.peephole) put(p_.dpeephole, total.peephole, (scan_.layout.num_gates - 1) * scan_.H);
    if (!scan_.layout.norm) return;
    put(p_.dnorm_ih, total.norm_ih, gates);
    put(p_.dnorm_hh, total.norm_hh, gates);
    put(p_.db_ih, total.bias_ih, gates);
    put(p_.db_hh, total.bias_hh, gates);
    put(p_.dnorm_c, total.norm_c, scan_.H);
    put(p_.dnorm_c_bias, total.norm_c_bias, scan_.H);
  }

  Scan<T> scan_;
  const Problem& p_;
  const i64 width_;
  Barrier all_;
  Shared* shared_ = nullptr;
  Own* own_ = nullptr;
  T* packed_ = nullptr;
  Band inner_band_, raw_band_, x_band_;
  Job jobs_[3] = {};
  int num_jobs_ = 0;
  i64 job_numbers_ = 0, projection_offset_ = 0;
};

}  // namespace RECURRA_ISA
}  // namespace recurra
