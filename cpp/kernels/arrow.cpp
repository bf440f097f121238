#include "kernels/arrow.h"

namespace nextstat {

ArrowShape::ArrowShape(const Model& model)
    : ArrowShape(model.n_global, model.n_coupled, model.local_block) {}

ArrowShape::ArrowShape(int globals, int coupled, std::vector<int> blocks)
    : n_global(globals), n_coupled(coupled), n_local(blocks.back()), block(std::move(blocks)),
      block_offset{0} {
  for (std::size_t k = 0; k + 1 < block.size(); ++k) {
    const int size = block[k + 1] - block[k];
    for (int j = 0; j < size; ++j) entry.push_back(block_offset.back() + j * size + j);
    block_offset.push_back(block_offset.back() + size * size);
  }
}

Arrow::Arrow(const ArrowShape& shape)
    : A(static_cast<std::size_t>(shape.n_global) * shape.n_global),
      B(static_cast<std::size_t>(shape.n_global) * shape.n_coupled), D(shape.block_offset.back()) {}

ArrowFactor::ArrowFactor(const ArrowShape& shape)
    : L(static_cast<std::size_t>(shape.n_global) * shape.n_global),
      Z(static_cast<std::size_t>(shape.n_global) * shape.n_coupled), LD(shape.block_offset.back()),
      free(shape.size(), 1) {}

}  // namespace nextstat
