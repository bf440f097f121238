#include "fit/batch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "support/parallel.h"

namespace nextstat {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double rounding = 5e-8;  // in nll: fits stop at an EDM of 1e-10

// Whether the nll is known to be as low as it gets: a flat minimum will do for a test.
bool lowest(FitStatus status) {
  return status == FitStatus::converged || status == FitStatus::singular;
}

// The fits of one thread, one dataset after the other.
class Worker {
 public:
  Worker(const Model& model, const BatchProblem& batch)
      : model_(model), batch_(batch), minimizer_(model), evaluation_(model),
        fixed_(batch.problem.fixed, batch.problem.fixed + model.n_params), init_(model.n_params) {}

  const Minimum& fit(const Data& data) {
    for (const double* init : {batch_.problem.init, batch_.second_init}) {
      run(data, init, batch_.problem.fixed);
      if (point().status == FitStatus::converged) break;
    }
    return point();
  }

  // -2 ln of the profile likelihood ratio and the fitted value, or the status of a failed fit.
  FitStatus test(const Data& data, int poi, double value, Side side, double& twice,
                 double& fitted) {
    if (!lowest(fit(data).status)) return point().status;
    best_ = external(point().theta);
    fitted = best_[poi];
    twice = 0.0;
    const bool counts = side == Side::either || (side == Side::below && fitted < value) ||
                        (side == Side::above && fitted > value);
    if (!counts || fitted == value) return FitStatus::converged;
    if (!fit_at(data, poi, value)) {
      if (point().status != FitStatus::infinite) return point().status;
      twice = infinity;  // events where the value lets none be expected
      return FitStatus::converged;
    }
    const Doubles conditional = external(point().theta);
    double rise = above(data, conditional, best_);
    if (rise < -rounding) {  // the global fit had stopped in another basin
      run(data, conditional.data(), batch_.problem.fixed);
      if (!lowest(point().status)) return point().status;
      best_ = external(point().theta);
      fitted = best_[poi];
      rise = above(data, conditional, best_);
    }
    twice = std::max(2.0 * rise, 0.0);
    return FitStatus::converged;
  }

 private:
  const Minimum& point() const { return minimizer_.point; }

  void run(const Data& data, const double* init, const char* fixed) {
    FitProblem problem = batch_.problem;
    problem.init = init;
    problem.fixed = fixed;
    minimizer_.run(data, problem);
  }

  bool fit_at(const Data& data, int poi, double value) {
    fixed_[poi] = 1;
    for (const double* init :
         {static_cast<const double*>(best_.data()), batch_.problem.init, batch_.second_init}) {
      std::copy(init, init + model_.n_params, init_.begin());
      for (int p = 0; p < model_.n_params; ++p) {
        if (batch_.problem.fixed[p]) init_[p] = batch_.problem.init[p];
      }
      init_[poi] = value;
      run(data, init_.data(), fixed_.data());
      if (point().status == FitStatus::converged) break;
    }
    fixed_[poi] = batch_.problem.fixed[poi];
    return lowest(point().status);
  }

  // nll(a) - nll(b), bin by bin.
  double above(const Data& data, const Doubles& a, const Doubles& b) {
    const Doubles theta_a = internal(a), theta_b = internal(b);
    kernels().expected(model_, theta_b.data(), evaluation_);
    const Doubles nu_b = evaluation_.nu;
    kernels().expected(model_, theta_a.data(), evaluation_);
    return kernels().difference(model_, data, theta_a.data(), evaluation_.nu.data(), theta_b.data(),
                                nu_b.data());
  }

  Doubles external(const Doubles& theta) const {
    Doubles out(theta.size());
    for (std::size_t i = 0; i < theta.size(); ++i) out[model_.external[i]] = theta[i];
    return out;
  }

  Doubles internal(const Doubles& params) const {
    Doubles out(params.size());
    for (std::size_t i = 0; i < params.size(); ++i) out[i] = params[model_.external[i]];
    return out;
  }

  const Model& model_;
  const BatchProblem& batch_;
  Minimizer minimizer_;
  Evaluation evaluation_;
  std::vector<char> fixed_;
  Doubles init_, best_;
};

constexpr int not_done = -1;

// f(worker, dataset, row) for each dataset that is one; the others have the status of bad data.
// What ends the work early is kept in `interrupted`. Returns the number of rows done in a row.
template <class F>
std::size_t for_each_dataset(const Model& model, const Datasets& datasets, std::int64_t first,
                             const BatchProblem& problem, int n_threads, std::vector<int>& status,
                             std::exception_ptr& interrupted, F f) {
  const auto one = [&](Worker& worker, int k) {
    try {
      status[k] = static_cast<int>(f(worker, datasets(first + k), k));
    } catch (const std::invalid_argument&) {
      status[k] = static_cast<int>(FitStatus::bad_data);
    }
  };
  try {
    parallel_for(
        static_cast<int>(status.size()), n_threads, [&] { return Worker(model, problem); }, one);
  } catch (...) {
    interrupted = std::current_exception();
  }
  return std::find(status.begin(), status.end(), not_done) - status.begin();
}

}  // namespace

BatchFits fit_each(const Model& model, const Datasets& datasets, std::int64_t first, int n,
                   const BatchProblem& problem, int n_threads) {
  const std::size_t P = model.n_params, rows = n;
  BatchFits fits{Doubles(rows * P, nan), Doubles(rows * P, nan),
                 Doubles(rows, nan),     Doubles(rows, nan),
                 Doubles(rows, nan),     std::vector<int>(rows, not_done),
                 std::vector<int>(rows), nullptr};
  const auto fit = [&](Worker& worker, const Data& data, int k) {
    const Minimum& point = worker.fit(data);
    Doubles variance(P, nan);
    if (point.status == FitStatus::converged) {
      kernels().inverse_diagonal(point.shape, point.factor, variance.data());
    }
    for (std::size_t i = 0; i < P; ++i) {
      const std::size_t to = k * P + model.external[i];
      fits.values[to] = point.theta[i];
      fits.errors[to] = point.held[i] ? nan : std::sqrt(variance[i]);
    }
    fits.nll[k] = point.nll;
    fits.edm[k] = point.edm;
    fits.deviance[k] = 2.0 * (point.nll - data.constant);
    fits.n_iterations[k] = point.n_iterations;
    return point.status;
  };
  const std::size_t done = for_each_dataset(model, datasets, first, problem, n_threads, fits.status,
                                            fits.interrupted, fit);
  for (Doubles* column : {&fits.nll, &fits.edm, &fits.deviance}) column->resize(done);
  for (std::vector<int>* column : {&fits.status, &fits.n_iterations}) column->resize(done);
  for (Doubles* matrix : {&fits.values, &fits.errors}) matrix->resize(done * P);
  return fits;
}

BatchTests test_each(const Model& model, const Datasets& datasets, std::int64_t first, int n,
                     const BatchProblem& problem, int poi, double value, Side side, int n_threads) {
  const std::size_t rows = n;
  BatchTests tests{Doubles(rows, nan), Doubles(rows, nan), std::vector<int>(rows, not_done),
                   nullptr};
  const auto test = [&](Worker& worker, const Data& data, int k) {
    return worker.test(data, poi, value, side, tests.statistic[k], tests.fitted[k]);
  };
  const std::size_t done = for_each_dataset(model, datasets, first, problem, n_threads,
                                            tests.status, tests.interrupted, test);
  for (Doubles* column : {&tests.statistic, &tests.fitted}) column->resize(done);
  tests.status.resize(done);
  return tests;
}

}  // namespace nextstat
