//! What the macros refuse, and how they say it: message and place are part of the interface.

// Goal: a mistake gives one error, in words that say what to do, where the mistake is.
// Method: each file below `tests/ui` must fail to compile with the output beside it.
#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*/*.rs");
}
