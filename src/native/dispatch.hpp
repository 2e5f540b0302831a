// The kernels for the processor that the program runs on.
#pragma once

#include <string>
#include <vector>

#include "problem.hpp"

namespace recurra {

// Instruction sets that were built and that this processor has, best first.
std::vector<const Kernels*> available_kernels();

// The best of them, or the one that the environment variable RECURRA_ISA names. Throws std::invalid_argument where that
// is not available.
const Kernels& kernels();

}  // namespace recurra
