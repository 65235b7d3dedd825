# Names only: what each does stands in the script it calls.
.PHONY: help demo demo-down test acceptance model simulate bench images lint fmt generate

help:            ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo:            ## the main job on a cluster: counts from a Kafka, by one kubectl apply
	@e2e/demo up
demo-down:       ## removes what demo made
	@e2e/demo down
test:            ## everything that CI checks, from nothing
	@e2e/check test
acceptance:      ## the long figures
	@e2e/check acceptance
model:           ## the exhaustive models at their full sizes
	@e2e/check model
simulate:        ## seeded simulation; SEEDS=1000
	@e2e/check simulate
bench:           ## Weir beside its yardsticks, in one process run
	@e2e/check bench
images:          ## dist/ and the image archives
	@e2e/bed/images
lint:            ## formatting, clippy, licences
	@e2e/check lint
fmt:             ## formats the code
	@cargo fmt --all
generate:        ## CRDs, install.yaml and reference pages from the code
	@e2e/check generate
