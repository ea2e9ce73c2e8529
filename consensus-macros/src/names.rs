//! Names: how a type's becomes a module's and a method's a message's; what may go over the wire.

use syn::Ident;

/// Returns `name` in snake case: `KvStore` becomes `kv_store`, `HTTPLog` becomes `http_log`.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, &letter) in letters.iter().enumerate() {
        if letter.is_uppercase() {
            let before = at.checked_sub(1).and_then(|at| letters.get(at));
            let after = letters.get(at + 1);
            let starts_word = before
                .is_some_and(|letter| letter.is_lowercase() || letter.is_numeric())
                || before.is_some_and(|letter| letter.is_uppercase())
                    && after.is_some_and(|letter| letter.is_lowercase());
            if starts_word {
                snake.push('_');
            }
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Returns `name` in kebab case: `PlaceOrder` becomes `place-order`.
pub(crate) fn kebab_case(name: &str) -> String {
    snake_case(name).replace('_', "-")
}

/// Returns `name` in camel case: `add_all` becomes `AddAll`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            camel.extend(first.to_uppercase());
            camel.push_str(letters.as_str());
        }
    }
    camel
}

/// Returns `name` as an identifier with the span of `like`, unless it is none or a keyword.
pub(crate) fn identifier(name: &str, like: &Ident) -> Option<Ident> {
    let mut ident: Ident = syn::parse_str(name).ok()?;
    ident.set_span(like.span());
    Some(ident)
}

/// Says what is wrong with `name` on the wire, in the configuration and in a URL, if anything is.
pub(crate) fn wire_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a name must not be empty");
    }
    if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        return Some("a name starts with a letter");
    }
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
    {
        return Some("a name has only letters of the English alphabet, digits, `_` and `-`");
    }
    None
}

/// Returns the one of `known` that `word` was probably meant to be.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The default name of a state is its type's name in snake case, acronyms and digits included.
    #[test]
    fn snake_case_splits_words_and_acronyms() {
        let cases = [
            ("Counter", "counter"),
            ("KvStore", "kv_store"),
            ("HTTPLog", "http_log"),
            ("Kv2Store", "kv2_store"),
            ("already_snake", "already_snake"),
            ("X", "x"),
        ];
        for (name, snake) in cases {
            assert_eq!(snake_case(name), snake);
        }
    }

    // A message is named after its method.
    #[test]
    fn camel_case_joins_words() {
        for (name, camel) in [("add", "Add"), ("add_all", "AddAll"), ("_reset__now", "ResetNow")] {
            assert_eq!(camel_case(name), camel);
        }
    }

    // A near miss is suggested, a different word is not.
    #[test]
    fn closest_suggests_only_near_misses() {
        let known = ["protocol", "name", "floats", "crate"];
        assert_eq!(closest("protcol", &known), Some("protocol"));
        assert_eq!(closest("nmae", &known), Some("name"));
        assert_eq!(closest("float", &known), Some("floats"));
        assert_eq!(closest("snapshot", &known), None);
    }

    // What goes into a URL and an environment variable is kept plain.
    #[test]
    fn wire_names_are_plain() {
        for name in ["add", "add-all", "_add2", "Add"] {
            assert_eq!(wire_problem(name), None);
        }
        for name in ["", "2add", "add all", "größe", "a/b"] {
            assert!(wire_problem(name).is_some(), "{name} should be refused");
        }
    }
}
