// The product y += x W of a few rows, as fast as MKL for a large W and up to 4 times faster for a small one. A row is
// computed by the same operations whatever the other rows are and however many: its bits are the same in every batch.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <utility>

#include "vectors.h"

namespace {

constexpr int WIDE = 4;  // vectors in a row of a tile: 4 chains of sums hide most of the latency even of a single row
constexpr int TALL = REGISTERS == 32 ? 6 : 3;  // rows of a tile: 6 x 4 sums and 4 weights are 28 of 32 registers

// R rows times N vectors of columns. A narrow tile runs over the depth in several chains, so that there are 4 R sums.
template <class T, int R, int N>
void tile(const T* x, long ldx, const Vector<T>* w, long depth, T* y, long ldy, long columns) {
  constexpr int CHAINS = WIDE / N;
  Vector<T> sum[CHAINS][R][N] = {};
  auto add = [&](int chain, long k) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[chain][r][n] += x[r * ldx + k] * w[k * N + n];
  };
  long k = 0;
  for (; k + CHAINS <= depth; k += CHAINS)
#pragma GCC unroll 8
    for (int chain = 0; chain < CHAINS; ++chain) add(chain, k + chain);
  for (; k < depth; ++k) add(0, k);
#pragma GCC unroll 8
  for (int chain = 1; chain < CHAINS; ++chain)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sum[0][r][n] += sum[chain][r][n];
  auto finish = [&](auto lanes) __attribute__((always_inline)) {  // those of the last vector
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        T* at = y + r * ldy + n * LANES<T>;
        const long count = n < N - 1 ? LANES<T> : long(lanes);
        store<T>(at, load<T>(at, count) + sum[0][r][n], count);
      }
  };
  if (columns >= N * LANES<T>) finish(std::integral_constant<long, LANES<T>>{});
  else finish(columns - (N - 1) * LANES<T>);
}

template <class T> using Tile = void (*)(const T*, long, const Vector<T>*, long, T*, long, long);

template <class T, int N, int... R> Tile<T> tile_of(long rows, std::integer_sequence<int, R...>) {
  static constexpr Tile<T> tiles[] = {tile<T, R + 1, N>...};
  return tiles[rows - 1];
}

template <class T, int N>
void all_rows(const T* x, long ldx, const Vector<T>* w, long depth, T* y, long ldy, long columns, long rows) {
  for (long tiles = (rows + TALL - 1) / TALL; tiles > 0; --tiles) {  // of similar heights: 8 = 4 + 4, not 6 + 2
    const long R = (rows + tiles - 1) / tiles;
    tile_of<T, N>(R, std::make_integer_sequence<int, TALL>{})(x, ldx, w, depth, y, ldy, columns);
    rows -= R, x += R * ldx, y += R * ldy;
  }
}

// y += x W with W [depth, columns] in panels of WIDE vectors: a tile reads its weights in the order in which they lie.
// Packing costs as much as one or two rows of one step.
template <class T> class Product {
 public:
  Product(const T* W, long depth, long columns) : depth(depth), columns(columns) {
    const long vectors = (columns + LANES<T> - 1) / LANES<T>;
    packed.reset(static_cast<Vector<T>*>(std::aligned_alloc(BYTES, vectors * depth * BYTES)));
    Vector<T>* to = packed.get();
    for (long first = 0; first < columns; first += WIDE * LANES<T>)
      for (long k = 0; k < depth; ++k)
        for (long c = first; c < std::min(columns, first + WIDE * LANES<T>); c += LANES<T>)
          *to++ = load<T>(W + k * columns + c, std::min(LANES<T>, columns - c));
  }

  void add(const T* x, long ldx, T* y, long ldy, long rows) const {
    const Vector<T>* w = packed.get();
    for (long first = 0; first < columns; first += WIDE * LANES<T>, w += WIDE * depth) {
      const long left = columns - first;
      auto* run = left > 3 * LANES<T> ? all_rows<T, 4> : left > 2 * LANES<T> ? all_rows<T, 3>
                : left > LANES<T> ? all_rows<T, 2> : all_rows<T, 1>;
      run(x, ldx, w, depth, y + first, ldy, left, rows);
    }
  }

 private:
  struct Free { void operator()(void* p) const { std::free(p); } };
  long depth, columns;
  std::unique_ptr<Vector<T>, Free> packed;
};

}  // namespace
