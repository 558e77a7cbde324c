//! Against AWS's own signed requests, then against all that may be wrong with one.

use axum::http::{Method, Request, StatusCode, request};

use super::*;
use crate::config::AccessKey;

/// See the file itself.
const VECTORS: &str = include_str!("vectors.txt");
/// When all of them were signed.
const NOW: i64 = 1_440_938_160;
const KEY_ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn verifier() -> Verifier {
    let key = AccessKey {
        id: KEY_ID.to_owned(),
        secret: SECRET.into(),
    };
    Verifier {
        service: "service",
        ..Verifier::new(Access::Keys(vec![key]), Some("us-east-1".to_owned())).unwrap()
    }
}

fn check(head: &request::Parts, body: &[u8], now: i64) -> Result<(), SignatureError> {
    verifier().check_head(head, now)?.check_body(body)
}

/// A request as the file has it: a line, headers, an empty line, a body.
fn parse(text: &str) -> (request::Parts, &[u8]) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line: Vec<_> = lines.next().unwrap().split(' ').collect();
    let mut request = Request::builder()
        .method(Method::from_bytes(line[0].as_bytes()).unwrap())
        .uri(line[1].as_bytes());
    for header in lines {
        let (name, value) = header.split_once(':').unwrap();
        request = request.header(name, value);
    }
    (request.body(()).unwrap().into_parts().0, body.as_bytes())
}

fn vectors() -> impl Iterator<Item = (&'static str, request::Parts, &'static [u8])> {
    let mut entries = VECTORS.split("== ");
    assert!(entries.next().unwrap().starts_with("# Signed requests"));
    entries.map(|entry| {
        let (name, request) = entry.split_once('\n').unwrap();
        let (head, body) = parse(request.trim_end_matches('\n'));
        (name, head, body)
    })
}

#[test]
fn what_aws_signs_is_taken() {
    let mut count = 0;
    for (name, head, body) in vectors() {
        assert_eq!(check(&head, body, NOW), Ok(()), "{name}");
        count += 1;
    }
    assert_eq!(count, 57);
}

#[test]
fn whatever_is_changed_the_signature_does_not_match() {
    for (name, head, body) in vectors() {
        let refused = |head: &request::Parts, body: &[u8], what: &str| {
            let outcome = check(head, body, NOW);
            let is_mismatch = matches!(outcome, Err(SignatureError::Mismatch { .. }));
            assert!(is_mismatch, "{name}, {what}: {outcome:?}");
        };
        refused(&head, &[body, b"x"].concat(), "body");
        let mut changed = head.clone();
        changed.method = Method::PUT;
        refused(&changed, body, "method");
        let mut changed = head.clone();
        changed
            .headers
            .insert("host", "example.org".parse().unwrap());
        refused(&changed, body, "host");
        let mut changed = head.clone();
        changed
            .headers
            .insert("x-amz-target", "AmazonSQS.PurgeQueue".parse().unwrap());
        refused(&changed, body, "a header of AWS's that is not signed");
        let target = head.uri.to_string();
        let query = &target[head.uri.path().len()..];
        let mark = if target.contains('?') { '&' } else { '?' };
        for (what, uri) in [
            ("path", format!("{}x{query}", head.uri.path())),
            ("query", format!("{target}{mark}x=y")),
        ] {
            let mut changed = head.clone();
            changed.uri = axum::http::Uri::from_maybe_shared(uri.into_bytes()).unwrap();
            refused(&changed, body, what);
        }
    }
}

/// A vanilla request with another `Authorization`.
fn with_authorization(value: &str) -> request::Parts {
    let request = Request::get("/")
        .header("host", "example.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z")
        .header("authorization", value);
    request.body(()).unwrap().into_parts().0
}

const VANILLA: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/\
    aws4_request, SignedHeaders=host;x-amz-date, \
    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf32";

/// What is put in place of what in [`VANILLA`], the refusal's code, and words of it.
const REFUSALS: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "",
        "SignatureDoesNotMatch",
        "does not match the signature you provided",
    ),
    (
        "=5fa0",
        "=5fa",
        "SignatureDoesNotMatch",
        "does not match the",
    ),
    (
        "=5fa0",
        "=xfa0",
        "SignatureDoesNotMatch",
        "does not match the",
    ),
    (
        "=5fa0",
        "=5fa00",
        "SignatureDoesNotMatch",
        "does not match the",
    ),
    (
        "AKID",
        "BKID",
        "InvalidClientTokenId",
        "token included in the request",
    ),
    (
        "aws4_",
        "aws3_",
        "SignatureDoesNotMatch",
        "a valid terminator",
    ),
    (
        "/service",
        "/s3",
        "SignatureDoesNotMatch",
        "to correct service",
    ),
    (
        "us-east-1",
        "eu-west-1",
        "SignatureDoesNotMatch",
        "not 'eu-west-1'",
    ),
    (
        "us-east-1",
        "",
        "SignatureDoesNotMatch",
        "a valid region, not ''",
    ),
    (
        "20150830",
        "20150831",
        "SignatureDoesNotMatch",
        "!= '20150830', from",
    ),
    (
        "20150830",
        "2015",
        "SignatureDoesNotMatch",
        "does not match YYYYMMDD",
    ),
    (
        "host;",
        "",
        "SignatureDoesNotMatch",
        "'Host' must be a 'SignedHeader'",
    ),
    (
        ";x-amz-date",
        "",
        "SignatureDoesNotMatch",
        "'x-amz-date' must be a",
    ),
    (
        "host;x-amz-date",
        "",
        "SignatureDoesNotMatch",
        "'Host' must be",
    ),
    (
        "host;",
        "host;nope;",
        "SignatureDoesNotMatch",
        "does not match the",
    ),
    (
        "host;",
        "host;host;",
        "IncompleteSignature",
        "sorted, each once",
    ),
    (
        "host;",
        "HOST;host;",
        "IncompleteSignature",
        "sorted, each once",
    ),
    (
        "host;x-amz-date",
        "x-amz-date;host",
        "IncompleteSignature",
        "sorted",
    ),
    (
        "/20150830",
        "",
        "IncompleteSignature",
        "exactly 5 slash-delimited",
    ),
    (
        "Credential",
        "Redential",
        "IncompleteSignature",
        "'Credential'",
    ),
    (
        "Signature=",
        "Sig=",
        "IncompleteSignature",
        "requires 'Signature'",
    ),
    (
        "SignedH",
        "H",
        "IncompleteSignature",
        "requires 'SignedHeaders'",
    ),
    (
        "Signature=",
        "Signature=,Signature=",
        "IncompleteSignature",
        "'Signature' is there more",
    ),
    ("host;", ",", "IncompleteSignature", "no key=value pair"),
    ("256 ", "512 ", "IncompleteSignature", "'AWS4-HMAC-SHA256'"),
    ("256 ", "256", "IncompleteSignature", "'AWS4-HMAC-SHA256'"),
    (
        VANILLA,
        "AWS4-HMAC-SHA256 ",
        "IncompleteSignature",
        "no key=value pair",
    ),
    (
        VANILLA,
        "Basic dXNlcjpwYXNz",
        "IncompleteSignature",
        "'AWS4-HMAC-SHA256'",
    ),
    (VANILLA, "", "IncompleteSignature", "'AWS4-HMAC-SHA256'"),
    (VANILLA, "\u{fc}", "IncompleteSignature", "is not text"),
];

#[test]
fn refusals_are_named_as_aws_names_them() {
    for (from, to, code, words) in REFUSALS {
        let authorization = VANILLA.replacen(from, to, 1);
        let error = check(&with_authorization(&authorization), b"", NOW).unwrap_err();
        assert_eq!(error.code(), *code, "{authorization}: {error:?}");
        assert!(
            error.message().contains(words),
            "{authorization}: {error:?}"
        );
        let is_incomplete = *code == "IncompleteSignature";
        let status = if is_incomplete {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(error.status(), status);
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    }
    let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
    assert_eq!(check(&head, b"", NOW), Err(SignatureError::Missing));
}

#[test]
fn ambiguous_requests_are_refused() {
    let again = |name: &'static str| {
        let mut head = with_authorization(VANILLA);
        let value = head.headers[name].clone();
        head.headers.append(name, value);
        check(&head, b"", NOW).unwrap_err()
    };
    assert_eq!(again("authorization").code(), "IncompleteSignature");
    assert_eq!(again("x-amz-date").code(), "IncompleteSignature");
    assert_eq!(again("host").code(), "SignatureDoesNotMatch");

    let mut head = with_authorization(VANILLA);
    head.uri = "/?X-Amz-Signature=x".parse().unwrap();
    let both = check(&head, b"", NOW).unwrap_err();
    assert_eq!(both.code(), "IncompleteSignature");
    assert!(both.message().contains("Only one of"), "{both:?}");
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    let (_, head, body) = vectors()
        .find(|(name, ..)| *name == "get-vanilla header")
        .unwrap();
    for seconds in [-900, 900] {
        assert_eq!(check(&head, body, NOW + seconds), Ok(()), "{seconds}");
    }
    assert_eq!(
        check(&head, body, NOW + 901).unwrap_err().message(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
         (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        check(&head, body, NOW - 901).unwrap_err().message(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
         (20150830T122059Z + 15 min.)"
    );
}

#[test]
fn presigned_urls_end_with_their_time() {
    let (_, head, body) = vectors()
        .find(|(name, ..)| *name == "get-vanilla query")
        .unwrap();
    assert_eq!(check(&head, body, NOW + 3600), Ok(()));
    let late = check(&head, body, NOW + 3601).unwrap_err();
    assert!(
        late.message()
            .starts_with("Signature expired: 20150830T123600Z"),
        "{late:?}"
    );
    assert!(late.message().ends_with("- 60 min.)"), "{late:?}");
    assert_eq!(
        check(&head, body, NOW - 901).unwrap_err().code(),
        "SignatureDoesNotMatch"
    );

    let url = head.uri.to_string();
    for (from, to, words) in [
        ("Expires=3600", "Expires=0", "from 1 to 604800"),
        ("Expires=3600", "Expires=604801", "from 1 to 604800"),
        ("Expires=3600", "Expires=1e3", "from 1 to 604800"),
        (
            "Expires=3600",
            "Expires=3600&X-Amz-Expires=3600",
            "more than once",
        ),
        ("&X-Amz-Expires=3600", "", "must include 'X-Amz-Expires'"),
        (
            "&X-Amz-Date=20150830T123600Z",
            "",
            "must include 'X-Amz-Date'",
        ),
        (
            "&X-Amz-SignedHeaders=host",
            "",
            "must include 'X-Amz-SignedHeaders'",
        ),
        (
            "X-Amz-Credential=",
            "X-Amz-Redential=",
            "must include 'X-Amz-Credential'",
        ),
        (
            "X-Amz-Signature=",
            "X-Amz-Date=x&X-Amz-Signature=",
            "more than once",
        ),
        ("SHA256", "SHA1", "X-Amz-Algorithm must be"),
    ] {
        let mut changed = head.clone();
        changed.uri = url.replacen(from, to, 1).parse().unwrap();
        let error = check(&changed, body, NOW).unwrap_err();
        assert_eq!(error.code(), "IncompleteSignature", "{to}: {error:?}");
        assert!(error.message().contains(words), "{to}: {error:?}");
    }
}

#[test]
fn declared_hashes_are_compared_and_unsigned_payloads_taken() {
    let name = "post-x-www-form-urlencoded header";
    let (_, head, body) = vectors().find(|(found, ..)| *found == name).unwrap();
    assert!(head.headers.contains_key("x-amz-content-sha256"));
    let other = check(&head, b"Param1=value2", NOW).unwrap_err();
    assert!(
        other
            .message()
            .contains("'x-amz-content-sha256' header does not match"),
        "{other:?}"
    );
    assert_eq!(check(&head, body, NOW), Ok(()));

    // Signed by botocore, with this one header more.
    let request = Request::post("/")
        .header("host", "example.amazonaws.com")
        .header("x-amz-date", "20150830T123600Z")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("authorization", UNSIGNED);
    let (head, ()) = request.body(()).unwrap().into_parts();
    for body in [&b""[..], b"anything"] {
        assert_eq!(check(&head, body, NOW), Ok(()));
    }
    let mut stream = head.clone();
    let declared = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".parse().unwrap();
    stream.headers.insert("x-amz-content-sha256", declared);
    assert_eq!(
        check(&stream, b"", NOW).unwrap_err().code(),
        "SignatureDoesNotMatch"
    );
}

const UNSIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/\
    aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
    Signature=05e1b307416f2cbcf15dd86269efd55537182ee4416101af58762e96bba470bb";
