// The immutable numeric model: templates, modifiers and constraints as flat arrays.
//
// Vocabulary. A *sample* here is one (channel, sample) pair, a *cell* one bin of one sample. The
// expected yield of bin b is
//   nu_b = sum_groups G_gb sum_{s in g} F_s N_sb,
//   N_sb = nominal_sb + sum_k [a_k S_ksb + q(a_k) A_ksb]     histosys (additive)
//   F_s  = L_s R_s,  L = prod normfactor, lumi,  R = prod normsys     (one number per sample)
//   G_gb = prod of the bin-wise factors (staterror, shapesys, shapefactor) of group g
// where a *group* is the set of samples of a channel that carry the same bin-wise factors.
//
// Parameters are held in internal order: first the G *global* ones, then the K *local* ones, which
// scale a single bin or none at all (sorted by bin). The Hessian is then an arrow: dense in the
// globals, block-diagonal (one small block per bin) in the locals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "formulas/interpolation.h"
#include "support/buffer.h"

namespace nextstat {

enum class Constraint : int { none = 0, gaussian = 1, poisson = 2 };

// What the builder hands over, in the caller's parameter and sample order. Modifiers that scale
// bins use one parameter per bin, numbered consecutively from `first`.
struct ModelSpec {
  std::vector<int> channel_bins;               // (C,)
  std::vector<int> channel_samples;            // (C,)
  Doubles nominal;                             // (cells,) by channel, sample, bin
  std::vector<int> norm_param, norm_sample;    // (I,)
  Doubles norm_lo, norm_hi;                    // (I,)
  std::vector<int> histo_param, histo_sample;  // (J,)
  Doubles histo_lo, histo_hi;                  // bins of the J samples, concatenated
  std::vector<int> factor_param, factor_sample;
  std::vector<int> binwise_first, binwise_sample;
  std::vector<int> constraint;  // (P,) Constraint
  Doubles constraint_scale;     // (P,) Gaussian width or Poisson tau
  NormCode norm_code = NormCode::code4;
  HistoCode histo_code = HistoCode::code4p;
};

struct Channel {
  int bin, n_bins;        // range of bins
  int sample, n_samples;  // range of samples
  int group, n_groups;    // range of groups
};

struct Group {
  int sample, n_samples;  // range of samples
  int row;                // first of its n_bins entries among the group rows
  int factor, n_factors;  // range of rows in Model::binwise
};

struct Sample {
  int cell;                // first cell
  int norm, n_norm;        // range in Model::by_sample_norm
  int histo, n_histo;      // range in Model::by_sample_histo
  int factor, n_factors;   // range in Model::factor_param
  int touched, n_touched;  // range in Model::touched: globals its modifiers of yield or shape use
};

// Consecutive cells that one histosys parameter changes with consecutive template entries.
struct Run {
  int param, cell, length, offset;
  bool symmetric;  // A = 0 throughout
};

// A cell that histosys can bring to zero.
struct Emptiable {
  int sample, cell;
  double reach;  // least |a| that may do it
  double scale;  // size of the terms that its yield is the sum of, for |a| = 1
};

// Channels whose second derivatives are accumulated together, over a common set of globals.
struct Block {
  std::vector<int> channels;
  std::vector<int> globals;  // sorted
  std::vector<int> column;   // (G,) position in globals, -1 where absent
};

struct Model {
  explicit Model(ModelSpec spec);

  std::uint64_t serial;                        // no other model of this process has the same
  ModelSpec spec;                              // as given: what is pickled
  int n_params, n_global, n_coupled, n_local;  // n_coupled of the n_local scale a bin
  int n_bins, n_samples, n_cells, n_rows;

  std::vector<Channel> channels;
  std::vector<Group> groups;
  std::vector<Sample> samples;    // internal order: grouped
  std::vector<int> sample_index;  // (n_samples,) caller's sample -> internal
  Doubles nominal;                // (n_cells,) internal order

  std::vector<int> internal;  // (P,) caller's parameter -> internal
  std::vector<int> external;  // (P,) internal -> caller's

  // normsys instances, sorted by parameter
  std::vector<int> norm_param;      // (p,) parameters with any
  std::vector<int> norm_begin;      // (p + 1,)
  std::vector<int> norm_sample;     // (I,)
  Doubles norm_coefficient[6];      // (I,) each: code4 polynomial
  Doubles log_hi, log_lo;           // (I,)
  std::vector<int> by_sample_norm;  // (I,) instances sorted by sample
  std::vector<int> instance_param;  // (I,)

  // histosys instances, sorted by parameter and cell
  Doubles S, A;  // template entries
  std::vector<Run> runs;
  std::vector<int> histo_param, histo_offset;  // (J,)
  std::vector<int> by_sample_histo;            // (J,) instances sorted by sample
  std::vector<int> histo_params;               // distinct parameters

  std::vector<Emptiable> emptiable;  // cells that histosys can bring to zero; see model/residues.h

  // Globals of the normsys and histosys of each sample, sorted; and where in that list each entry
  // of by_sample_norm and by_sample_histo stands.
  std::vector<int> touched;
  std::vector<int> norm_slot, histo_slot;

  std::vector<int> factor_param;  // normfactor and lumi parameters, sorted by sample

  std::vector<int> binwise;  // (rows of factors x bins) parameter of each bin, see Group::factor
  std::vector<int> binwise_offset;  // (group factors,) start of each factor's bins in binwise

  Doubles inverse_variance;        // (P,) Gaussian constraints, else 0
  std::vector<int> poisson_param;  // parameters with a Poisson constraint
  Doubles tau;                     // (P,) Poisson constraints, else 0
  std::vector<int> aux_param;      // (n_aux,) parameter of each auxiliary measurement

  std::vector<int> local_block;  // (blocks + 1,) first local of each diagonal block
  std::vector<int> kinked;       // parameters whose derivative jumps at 0
  std::vector<int> folded;     // parameters about which there may be two minima; see model/folded.h
  std::vector<int> most_bent;  // a dozen with the largest bends, or as many as are folded
  Doubles bend;                // (P,) how far from linear the expectation is in each; the same
  std::vector<Block> blocks;

  bool is_local(int param) const { return param >= n_global; }
};

// A dataset in internal order, with the part of the nll that depends on data only.
struct Data {
  // n (n_bins,), aux (n_aux,) in the caller's parameter order
  Data(const Model& model, const double* n, const double* aux);

  Doubles n;       // (n_bins,)
  Doubles aux;     // (n_aux,) as given
  Doubles center;  // (P,) auxiliary measurement, 0 where unconstrained
  double constant;
  double constraint_weight = 1.0;  // of all constraint terms; less looks for other minima
  std::uint64_t model;             // serial number of the model that they are data of
  double edge =
      0.0;  // over which the kink at nu = 0 of empty bins is rounded off; see fit/descent.h
};

}  // namespace nextstat
