// lockstep-worker: one rank of a job. Parses and delegates; worker/app does the rest.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "worker/app/worker_app.h"

namespace {

int Main(int argc, char** argv) {
  lockstep::WorkerOptions options;
  lockstep::OverrideWords& overrides = options.overrides;
  CLI::App app{"One worker of a Lockstep job; start several with mpirun"};
  app.footer("Example: mpirun -np 4 lockstep-worker --job job.yaml");
  app.add_option("--job", options.job_file, "the job file, YAML or JSON")->required();
  app.add_option("--threads", overrides.threads, "compute threads of each worker")->type_name("N");
  app.add_option("--steps", overrides.steps, "end after this many updates")->type_name("N");
  app.add_option("--epochs", overrides.epochs, "end after this many epochs")->type_name("N");
  app.add_option("--seed", overrides.seed, "of all random numbers")->type_name("N");
  app.add_option("--out", overrides.out, "the output directory")->type_name("DIR");
  app.add_flag("--resume", options.resume, "go on from the newest checkpoint, if there is one");
  app.add_option("--evaluate", options.evaluate, "measure this model file instead of training");
  app.set_version_flag("--version", "lockstep-worker " LOCKSTEP_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; everything else is a wrong request.
    return app.exit(error) == 0 ? 0 : static_cast<int>(lockstep::ExitCode::kUserError);
  }
  return static_cast<int>(lockstep::RunWorker(options));
}

}  // namespace

int main(int argc, char** argv) { return Main(argc, argv); }
