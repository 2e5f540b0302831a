// The Python module recurra.kernels._native.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "dispatch.hpp"
#include "problem.hpp"
#include "step.hpp"
#include "threads.hpp"

namespace nb = nanobind;

namespace recurra {
namespace {

// A tuple of integers, in the order of FIELDS. nanobind's own conversion of each item would take longer than a step.
template <class P>
P read(nb::tuple fields, int64_t P::*const* members, size_t count) {
  if (fields.size() != count) throw nb::value_error("as many integers as FIELDS has names are wanted");
  P problem;
  for (size_t i = 0; i < count; i++) {
    const long long value = PyLong_AsLongLong(fields[i].ptr());
    if (value == -1 && PyErr_Occurred()) throw nb::python_error();
    problem.*members[i] = value;
  }
  return problem;
}

#define X(name) &Problem::name,
constexpr int64_t Problem::*kMembers[] = {RECURRA_FIELDS(X)};
#undef X
#define X(name) &LinearProblem::name,
constexpr int64_t LinearProblem::*kLinearMembers[] = {RECURRA_LINEAR_FIELDS(X)};
#undef X

Problem read_problem(nb::tuple fields) { return read<Problem>(fields, kMembers, std::size(kMembers)); }

Problem read_problem(nb::tuple fields, nb::tuple numbers) {
  Problem problem = read_problem(fields);
  if (numbers.size() != 4) throw nb::value_error("four numbers are wanted");
  double values[4];
  for (size_t i = 0; i < 4; i++) {
    values[i] = PyFloat_AsDouble(numbers[i].ptr());
    if (values[i] == -1 && PyErr_Occurred()) throw nb::python_error();
  }
  problem.zoneout_h = values[0];
  problem.zoneout_c = values[1];
  problem.cell_clip = values[2];
  problem.eps = values[3];
  return problem;
}

// Below so many multiplications a step keeps the GIL: another thread may hold on to it for longer than the step takes.
constexpr int64_t kShortWork = int64_t{1} << 21;

std::unique_ptr<Step> make_step(bool is_double, nb::list layers) {
  std::vector<Step::Layer> read;
  for (nb::handle item : layers) {
    const auto layer = nb::cast<nb::tuple>(item);
    read.push_back({read_problem(layer[0], layer[1]), nb::cast<bool>(layer[2])});
    if (read.back().problem.T != 1) throw nb::value_error("one step is wanted");
  }
  if (read.empty()) throw nb::value_error("at least one layer is wanted");
  return std::make_unique<Step>(is_double, std::move(read));
}

int run_step(Step& step, int64_t x, int64_t stride, int64_t count, int64_t rows) {
  std::optional<nb::gil_scoped_release> release;
  if (step.work() * count > kShortWork) release.emplace();
  return step.run(reinterpret_cast<const void*>(x), stride, count, reinterpret_cast<const int64_t*>(rows));
}

nb::tuple names(const std::vector<const char*>& list) {
  nb::list result;
  for (const char* name : list) result.append(nb::str(name));
  return nb::tuple(result);
}

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Recurrent kernels for CPUs; recurra.kernels.native calls them.";
#define X(name) #name,
  m.attr("FIELDS") = names({RECURRA_FIELDS(X)});
  m.attr("LINEAR_FIELDS") = names({RECURRA_LINEAR_FIELDS(X)});
#undef X
  m.def("isas", [] {
    std::vector<std::string> result;
    for (const Kernels* found : available_kernels()) result.emplace_back(found->name);
    return result;
  });
  m.def("isa", [] { return std::string(kernels().name); });
  m.def("shares_pool", &shares_pool);
  m.def("saved_columns", [](nb::tuple fields) { return saved_columns(read_problem(fields)); });
  m.def("packed_size", [](bool is_double, nb::tuple fields) {
    return kernels().packed_size[is_double](read_problem(fields));
  });
  auto def = [&m](const char* name, auto member) {
    m.def(name, [member](bool is_double, nb::tuple fields, nb::tuple numbers) {
      const Problem problem = read_problem(fields, numbers);
      const Kernels& chosen = kernels();
      nb::gil_scoped_release release;
      (chosen.*member)[is_double](problem);
    });
  };
  def("forward", &Kernels::forward);
  def("backward", &Kernels::backward);
  def("pack", &Kernels::pack);
  auto def_linear = [&m](const char* name, auto member) {
    m.def(name, [member](bool is_double, nb::tuple fields) {
      const LinearProblem problem = read<LinearProblem>(fields, kLinearMembers, std::size(kLinearMembers));
      const Kernels& chosen = kernels();
      nb::gil_scoped_release release;
      (chosen.*member)[is_double](problem);
    });
  };
  def_linear("linear_forward", &Kernels::linear_forward);
  def_linear("linear_backward", &Kernels::linear_backward);
  nb::class_<Step>(m, "Step").def(nb::new_(&make_step)).def("run", &run_step);
  m.def("activation", [](const std::string& kind, bool is_double, int64_t source, int64_t target, int64_t count) {
    kernels().activation[is_double](kind == "tanh", reinterpret_cast<const void*>(source),
                                    reinterpret_cast<void*>(target), count);
  });
}

}  // namespace recurra
