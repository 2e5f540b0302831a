// Where the columns of a cell's products and of its saved rows stand.
#pragma once

#include "problem.hpp"

namespace recurra {
namespace {  // internal: the headers of several instruction sets include this

// A product with some gates' rows of a weight: it fills the columns begin..end, counted in gates (H each).
struct Product {
  int begin, end;
  int gates[4];  // whose rows of the weight they are, in torch's order

  int size() const { return end - begin; }
};

// Columns of one step's row. Where both products fill the same columns they add up.
struct Layout {
  int num_gates = 1;     // of the weights
  int num_columns = 1;   // in gates
  bool gru = false, before = false, norm = false, projected = false;
  Product input{}, hidden{};  // of x, and of h
  Product inner{};            // of r h, in a GRU that resets before the product

  int num_kept = 0;  // columns behind those: gates where the products stay, tanh(c) and normalised c of an LSTM

  bool is_merged() const { return input.begin == hidden.begin && input.end == hidden.end && !before; }
};

constexpr int kStatistics = 8;  // numbers behind those: mean and 1 / deviation of each part that is normalised

inline Layout layout_of(const Problem& p) {
  Layout l;
  l.gru = p.kind == kGRUAfter || p.kind == kGRUBefore;
  l.before = p.kind == kGRUBefore;
  l.norm = p.norm_ih != 0;
  l.projected = p.w_hr != 0;
  if (l.gru) {
    // n stands first, so that both products have their columns in one piece: n r z of x; r z n of h.
    l.num_gates = 3;
    l.input = {0, 3, {2, 0, 1, 0}};
    const int shift = l.norm ? 3 : 0;
    l.num_kept = l.norm ? 4 : 0;
    if (l.before) {
      l.hidden = {1 + shift, 3 + shift, {0, 1, 0, 0}};
      l.inner = {shift, 1 + shift, {2, 0, 0, 0}};
      l.num_columns = 3 + shift;
    } else if (l.norm) {
      l.hidden = {3, 6, {2, 0, 1, 0}};
      l.num_columns = 6;
    } else {
      l.hidden = {1, 4, {0, 1, 2, 0}};
      l.num_columns = 4;
    }
    return l;
  }
  l.num_gates = p.kind == kLSTM ? (p.coupled ? 3 : 4) : 1;
  l.num_columns = l.norm ? 2 * l.num_gates : l.num_gates;
  l.num_kept = l.norm ? 3 : p.kind == kLSTM ? 1 : 0;
  l.input = {0, l.num_gates, {0, 1, 2, 3}};
  l.hidden = {l.num_columns - l.num_gates, l.num_columns, {0, 1, 2, 3}};
  return l;
}

inline int64_t columns_of(const Problem& p) {
  const Layout l = layout_of(p);
  const int64_t size = (l.num_columns + l.num_kept) * p.H + (l.norm ? kStatistics : 0);
  return (size + 15) / 16 * 16;
}

}  // namespace
}  // namespace recurra
