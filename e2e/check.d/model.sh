# shellcheck shell=bash
# Phases of the model: an exhaustive search of small worlds, and what each defence is for.

# Builds the model, once for all of its phases.
model_is_built() {
  phase 'model: build' 45m cargo build --profile ci --workspace --locked --example model
}

# model ARGUMENT…: a search in at most 8 GiB.
model() {
  (ulimit -v $((8 * 1024 * 1024)) && exec "$(program examples/model)" "$@")
}

# The sizes that fit five minutes together, and each defence that the model can tell switched off.
model_short() {
  model_is_built
  phase 'model: short sizes' 5m model --short
  phase 'model: without a defence' 2m model --mutants
}

# The sizes that the design promises.
check_model() {
  model_is_built
  phase 'model: full sizes' 3h model --full
  phase 'model: without a defence' 5m model --mutants
}
