# `make verify` only reads; `make fix` rewrites.

.PHONY: verify fix test format lint doc deny bench bench-peers

verify: test format lint doc deny

fix:
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

# With all features, known bugs can be put back, and a database can take part.
EVERYTHING := --workspace --features consensus-core/mutants,consensus-actors/mutants,examples/postgres

test:
	cargo test --workspace
	cargo test --workspace --examples
	cargo test $(EVERYTHING) --test it -- mutants parcels
	cargo test $(EVERYTHING) --test postgres --test sim

format:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy $(EVERYTHING) --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, duplicates and sources need no network; advisories need the advisory database.
deny:
	cargo deny check bans licenses sources

# What this machine makes of everything that is measured: it takes a while, and wants it for itself.
bench:
	cargo run --profile measured -p examples --example bench

# Compares us with other libraries at the same work, in a quarter of an hour or so on a machine
# that does nothing else: `make bench-peers ARGS="--modes mem --clients 64 --rounds 3"` is quicker.
TARGET := $(or $(CARGO_TARGET_DIR),target)
bench-peers:
	cargo build --profile measured -p examples --example bench
	cargo run --release --manifest-path comparison/Cargo.toml -- run \
		--ours $(TARGET)/measured/examples/bench --data $(TARGET) $(ARGS)
