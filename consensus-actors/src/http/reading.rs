//! At what level a request reads: `?read=stale&max_lag=1s`, or `Consensus-Read: stale 1s`.
//!
//! A query's own arguments go first: a parameter of the URL that is an argument of the query says
//! nothing of the level, which the header can name for any query.

use actix_web::HttpRequest;
use consensus_core::{CommitToken, Operation, ReadLevel};

use super::header;
use crate::{
    call::Reading,
    client::IntoDuration,
    error::{Code, Error, Result},
};

/// The header that names a level.
const HEADER: &str = "Consensus-Read";
const LEVELS: &str = "linearizable, lease, stale with a max_lag as 250ms, after with a token";

/// Returns the level that a request names, if it names one, and takes it out of the parameters.
pub(super) fn reading(
    request: &HttpRequest,
    query: Option<&Operation>,
    pairs: &mut Vec<(String, String)>,
) -> Result<Option<Reading>> {
    let is_argument = |name: &str| {
        let arguments = query.map(|query| query.arguments).unwrap_or_default();
        arguments.iter().any(|argument| argument.name == name)
    };
    let mut taken = |name: &str| {
        let place = pairs.iter().position(|(key, _)| key == name && !is_argument(name))?;
        Some(pairs.remove(place).1)
    };
    let (read, max_lag, token) = (taken("read"), taken("max_lag"), taken("token"));
    let named = header(request, HEADER, Code::InvalidArgument)?;
    match (named, read) {
        (Some(named), None) if max_lag.is_none() && token.is_none() => {
            let named = named.trim();
            let (level, bound) = named.split_once(' ').unwrap_or((named, ""));
            let bound = Some(bound.trim()).filter(|bound| !bound.is_empty());
            level_of(level, bound, bound).map(Some)
        }
        (Some(_), _) => Err(invalid(format!(
            "both the header {HEADER} and the URL say how to read; leave one out"
        ))),
        (None, Some(read)) => level_of(&read, max_lag.as_deref(), token.as_deref()).map(Some),
        (None, None) if max_lag.is_some() || token.is_some() => Err(invalid(
            "max_lag and token belong to a level; write ?read=stale&max_lag=1s, or \
             ?read=after&token=.."
                .to_owned(),
        )),
        (None, None) => Ok(None),
    }
}

/// Reads a level of what was given for each kind of bound.
fn level_of(level: &str, max_lag: Option<&str>, token: Option<&str>) -> Result<Reading> {
    match (level, max_lag, token) {
        ("linearizable", None, None) => Ok(Reading::At(ReadLevel::Linearizable)),
        ("lease", None, None) => Ok(Reading::At(ReadLevel::Lease)),
        ("stale", Some(max_lag), _) => {
            let max_lag = max_lag.into_duration()?;
            Ok(Reading::At(ReadLevel::Stale { max_lag }))
        }
        ("after", _, Some(token)) => {
            let token = token.parse::<CommitToken>();
            token
                .map(Reading::After)
                .map_err(|error| Error::new(Code::ForeignToken, error.to_string()))
        }
        _ => Err(invalid(format!(
            "{level:?}, with what stands beside it, is no level to read at; known are {LEVELS}"
        ))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use consensus_core::{Argument, GroupId, Index};

    use super::*;

    const OWN: Operation = Operation {
        name: "find",
        arguments: &[Argument { name: "token", kind: "String" }],
        doc: "",
    };

    fn read(url: &str, named: Option<&str>, query: Option<&Operation>) -> Result<String> {
        let mut request = TestRequest::with_uri(url);
        if let Some(named) = named {
            request = request.insert_header((HEADER, named));
        }
        let request = request.to_http_request();
        let mut pairs = super::super::url_arguments(&request)?;
        let reading = reading(&request, query, &mut pairs)?;
        Ok(format!("{reading:?} {pairs:?}"))
    }

    // Goal: a level is named by the URL or the header, never by both, and what belongs to the query
    // is left to it.
    #[test]
    fn arguments_of_a_query_say_nothing_of_its_level() {
        let read = |url, named, query| read(url, named, query).map_err(|error| error.code());
        assert_eq!(read("/q?key=a", None, None), Ok("None [(\"key\", \"a\")]".into()));
        let stale = Ok("Some(At(Stale { max_lag: 1s })) [(\"key\", \"a\")]".into());
        assert_eq!(read("/q?key=a&read=stale&max_lag=1s", None, None), stale);
        assert_eq!(read("/q?key=a", Some("stale  1s"), None), stale);
        let linearizable = Ok("Some(At(Linearizable)) []".into());
        assert_eq!(read("/q?read=linearizable", None, None), linearizable);
        assert_eq!(read("/q", Some("lease"), None), Ok("Some(At(Lease)) []".into()));
        let token = CommitToken::new(GroupId(7), Index(42));
        let after = Ok(format!("Some(After({token:?})) []"));
        let url = format!("/q?read=after&token={token}");
        assert_eq!(read(&url, None, None), after);

        // Its own argument is named as the parameter: it is the query's, and the header helps.
        let own = Ok(format!("Some(After({token:?})) [(\"token\", \"mine\")]"));
        let named = format!("after {token}");
        assert_eq!(read("/q?token=mine", Some(&named), Some(&OWN)), own);
        assert_eq!(
            read("/q?token=mine", None, Some(&OWN)),
            Ok("None [(\"token\", \"mine\")]".into())
        );

        for url in [
            "/q?max_lag=1s",
            "/q?token=a",
            "/q?read=stale",
            "/q?read=lazily",
            "/q?read=lease&max_lag=1s",
            "/q?read=after",
        ] {
            assert_eq!(read(url, None, None), Err(Code::InvalidArgument), "{url}");
        }
        assert_eq!(
            read("/q?read=linearizable", Some("linearizable"), None),
            Err(Code::InvalidArgument)
        );
        assert_eq!(read("/q?read=after&token=nonsense", None, None), Err(Code::ForeignToken));
    }
}
