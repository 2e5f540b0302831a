// One scan: its rows in the order of the work, its packed weights, and where each row's state comes from.
#pragma once

#include "../layout.hpp"
#include "../problem.hpp"
#include "../threads.hpp"
#include "product.hpp"

namespace recurra {
namespace RECURRA_ISA {

// Rows that go through the steps together; the longest first, so that those still active are the first few.
struct Group {
  i64 first_row = 0, num_rows = 0;  // in `order`
  i64 num_steps = 0;
  const i64* starts = nullptr;  // of each step, its first place among the saved rows; num_steps + 1 of them

  i64 active(i64 step) const { return starts[step + 1] - starts[step]; }
};

// A part of memory, handed out in pieces of whole cache lines; first counted, then cut.
class Arena {
 public:
  explicit Arena(char* memory) : memory_(memory) {}

  template <class N>
  N* take(i64 count) {
    char* piece = memory_ + used_;
    // 64 bytes more, so that vectors may be read past the end and buffers do not share sets of the cache.
    used_ += round_up(count * static_cast<i64>(sizeof(N)), 64) + 64;
    return memory_ == nullptr ? nullptr : reinterpret_cast<N*>(piece);
  }
  i64 used() const { return used_; }

 private:
  char* memory_;
  i64 used_ = 0;
};

constexpr i64 kTileBytes = 192 * 1024;  // products of a step that stay in the second-level cache
constexpr i64 kUnitSplitBytes = 4 * 1024 * 1024;  // weights so many that each thread better keeps to its own units

template <class T>
struct Scan {
  const Problem& p;
  const Layout layout;
  const i64 T_, B, I, H, O;
  const i64 columns;  // of a saved row
  int num_threads = 1, num_units = 1;  // threads; how many of them share the units of a row
  i64 num_groups = 1, max_rows = 1;
  Group* groups = nullptr;
  int32_t* order = nullptr;
  i64* starts = nullptr;
  T* zeros = nullptr;

  explicit Scan(const Problem& problem)
      : p(problem),
        layout(layout_of(problem)),
        T_(problem.T),
        B(problem.B),
        I(problem.I),
        H(problem.H),
        O(problem.O),
        columns(columns_of(problem)) {
    choose_threads();
  }

  template <class N = T>
  static N* at(i64 address) {
    return reinterpret_cast<N*>(address);
  }
  bool has_lengths() const { return p.lengths != 0; }
  i64 length(i64 b) const { return p.lengths ? at<const i64>(p.lengths)[b] : T_; }
  bool has_cells() const { return p.kind == kLSTM; }

  // ---- rows and threads ----
  int num_row_threads() const { return num_threads / num_units; }

  void choose_threads() {
    const i64 weights = layout.num_gates * H * (I + O) * static_cast<i64>(sizeof(T));
    const i64 work = T_ * B * layout.num_gates * H * (I + O);
    int threads = static_cast<int>(max(p.threads, 1));
    if (work < 200000) threads = 1;
    const bool whole_rows = layout.norm || layout.projected || layout.before;  // a row's units depend on one another
    const bool split_units = !whole_rows && (B < threads || weights > kUnitSplitBytes) && H >= 96;
    if (split_units) {
      num_units = static_cast<int>(min(threads, H / 32));
      threads = num_units;
    } else {
      threads = static_cast<int>(min(threads, B));
    }
    num_threads = threads;
    // Few rows at a time, unless reading the weights again would cost more.
    const i64 wanted = weights > kNearBytes ? 96 : max(48, kTileBytes / (columns * static_cast<i64>(sizeof(T))));
    const i64 per_thread = divide_up(B, num_row_threads());
    num_groups = num_row_threads() * divide_up(per_thread, per_thread < 2 * wanted ? per_thread : wanted);
    max_rows = divide_up(B, num_groups);
  }

  void take(Arena& arena) {
    groups = arena.take<Group>(num_groups);
    order = arena.take<int32_t>(B);
    starts = arena.take<i64>(num_groups * (T_ + 1));
    zeros = arena.take<T>(zeros_size());
  }

  i64 zeros_size() const { return max(max(O, H), I) + 64; }

  void fill() {
    clear(zeros, zeros_size());
    if (has_lengths()) {
      sort_rows();
    } else {
      for (i64 b = 0; b < B; b++) order[b] = static_cast<int32_t>(b);
    }
    i64 place = 0;
    for (i64 g = 0; g < num_groups; g++) {
      Group& group = groups[g];
      group.first_row = group_begin(g);
      group.num_rows = group_begin(g + 1) - group.first_row;
      i64* start = starts + g * (T_ + 1);
      group.starts = start;
      group.num_steps = group.num_rows > 0 ? length(order[group.first_row]) : 0;
      i64 active = group.num_rows;
      start[0] = place;
      for (i64 step = 0; step < group.num_steps; step++) {
        while (has_lengths() && length(order[group.first_row + active - 1]) <= step) active--;
        place += active;
        start[step + 1] = place;
      }
    }
  }

  // Rows by falling length, dealt out to the groups one by one, so that all groups have about the same work.
  void sort_rows() {
    i64* counts = starts;  // T_ + 1 places at least; filled with something else later
    for (i64 t = 0; t <= T_; t++) counts[t] = 0;
    for (i64 b = 0; b < B; b++) counts[length(b)]++;
    i64 sum = 0;
    for (i64 t = T_; t >= 0; t--) {
      const i64 count = counts[t];
      counts[t] = sum;
      sum += count;
    }
    for (i64 b = 0; b < B; b++) {
      const i64 rank = counts[length(b)]++;
      order[group_begin(rank % num_groups) + rank / num_groups] = static_cast<int32_t>(b);
    }
  }
  i64 group_begin(i64 g) const { return B / num_groups * g + min(g, B % num_groups); }

  // Whether the rows of a step differ in nothing but their place.
  bool is_uniform() const {
    return !has_lengths() && p.reset == 0 && !(p.zoneout_draw && (p.zoneout_h > 0 || p.zoneout_c > 0));
  }

  // ---- a row at a step ----
  i64 row(const Group& group, i64 r) const { return order[group.first_row + r]; }
  // The index of a row's step among its stored ones.
  i64 time(i64 b, i64 step) const { return p.reverse ? length(b) - 1 - step : step; }
  // Whether row b starts afresh before its step.
  bool is_fresh(i64 b, i64 step) const {
    if (p.reset == 0 || (p.reverse && step == 0)) return false;
    return at<const uint8_t>(p.reset)[b * T_ + time(b, step) + (p.reverse ? 1 : 0)] != 0;
  }
  bool any_fresh(const Group& group, i64 step) const {
    if (p.reset == 0) return false;
    for (i64 r = 0; r < group.active(step); r++) {
      if (is_fresh(row(group, r), step)) return true;
    }
    return false;
  }
  const T* x_row(i64 b, i64 step) const { return at<const T>(p.x) + b * p.x_b + time(b, step) * p.x_t; }
  T* y_row(i64 b, i64 step) const { return at(p.y) + (time(b, step) * B + b) * O; }
  const T* or_zeros(i64 address, i64 offset) const { return address ? at<const T>(address) + offset : zeros; }
  // h before the step, resets obeyed.
  const T* h_before(i64 b, i64 step) const {
    if (is_fresh(b, step)) return or_zeros(p.h_init, b * O);
    return step == 0 ? or_zeros(p.h0, b * O) : y_row(b, step - 1);
  }
  // c before the step, of the r-th row of a group, where `saved` holds c after each step.
  const T* c_before(const Group& group, i64 r, i64 b, i64 step, const T* saved) const {
    if (is_fresh(b, step)) return or_zeros(p.c_init, b * H);
    if (step == 0) return or_zeros(p.c0, b * H);
    return saved + (group.starts[step - 1] + r) * H;
  }
  // What enters the recurrent product: h, under its mask.
  void enter(T* target, i64 b, i64 step) const {
    const T* h = h_before(b, step);
    if (p.mask == 0) return copy(target, h, O);
    const T* mask = at<const T>(p.mask) + b * O;
    for_vectors<T>(0, O, [&](i64 j, int n, auto full) RECURRA_LAMBDA {
      constexpr bool kFull = decltype(full)::value;
      store_part<kFull>(target + j, load_part<kFull>(h + j, n) * load_part<kFull>(mask + j, n), n);
    });
  }

  // ---- zoneout ----
  struct Keep {
    bool active = false, drawn = false;
    uint32_t key = 0, highest = 0;
    T share = 0;

    // Units j.. of which some keep their old value.
    RECURRA_INLINE Vec<T> blend(i64 j, Vec<T> old, Vec<T> fresh) const {
      if (drawn) return draw_kept<T>(key, j, highest) ? old : fresh;
      return share * old + (T(1) - share) * fresh;
    }
    // What of a gradient goes to the old value.
    RECURRA_INLINE Vec<T> share_of(i64 j, Vec<T> gradient) const {
      if (drawn) return draw_kept<T>(key, j, highest) ? gradient : Vec<T>{};
      return share * gradient;
    }
  };
  Keep keep(i64 b, i64 step, int leaf) const {
    const double probability = leaf == 0 ? p.zoneout_h : p.zoneout_c;
    Keep result;
    if (probability == 0) return result;
    const double threshold = probability * 4294967296.0;
    result.active = true;
    result.share = static_cast<T>(probability);
    if (p.zoneout_draw && threshold < 1) {
      result.share = 0;
    } else if (p.zoneout_draw) {
      result.drawn = true;
      result.highest = static_cast<uint32_t>(static_cast<uint64_t>(threshold) - 1);
      result.key = row_key(static_cast<uint64_t>(p.seed), static_cast<uint64_t>((time(b, step) * B + b) * 2 + leaf));
    }
    return result;
  }

  // ---- units of a thread ----
  i64 unit_begin(int unit) const { return num_units == 1 ? 0 : H * unit / num_units; }
  i64 unit_end(int unit) const { return num_units == 1 ? H : H * (unit + 1) / num_units; }
};

// The bands of one product, for each thread that shares the units: one over all its columns, or one a gate.
template <class T>
struct Bands {
  i64 size = 0;      // packed numbers in all
  int per_unit = 0;  // bands of a thread
  Band bands[4];     // of the thread asked for

  // Columns of `product`, in numbers.
  static Bands of(const Scan<T>& scan, const Product& product, i64 depth, i64 offset, int unit) {
    Bands result;
    for (int u = 0; u < scan.num_units; u++) {
      const i64 begin = scan.unit_begin(u), end = scan.unit_end(u);
      const int count = scan.num_units == 1 ? 1 : product.size();
      for (int g = 0; g < count; g++) {
        const i64 first = (product.begin + g) * scan.H;
        Band band{first + begin, first + end, offset + result.size};
        if (scan.num_units == 1) band.end = product.end * scan.H;
        if (u == unit) result.bands[result.per_unit++] = band;
        result.size += band.vectors<T>() * kLanes<T> * depth;
      }
    }
    return result;
  }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
