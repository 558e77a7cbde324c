//! JSON as Python reads it, seen through arguments.

mod support;

use pyqs_formats::limits::{
    BUILT_BYTES_MAX, CHUNK_BYTES, DEPTH_MAX, INTEGER_DIGITS_MAX, VALUE_BYTES,
};
use pyqs_formats::undecodable::Fault;
use pyqs_formats::{Undecodable, Value, read, read_head};
use support::tagged;

/// Reads one argument of PyQS's own form.
fn argument(json: &str) -> Result<Value, Undecodable> {
    let body = format!(r#"{{"task": "t", "args": [{json}], "kwargs": {{}}}}"#);
    read(&body).map(|message| message.args.into_iter().next().expect("one argument"))
}

/// The same in Celery's form, where typed values count.
fn celery_argument(json: &str) -> Result<Value, Undecodable> {
    let payload = serde_json::Value::String(format!("[[{json}], {{}}, {{}}]"));
    let body = format!(
        r#"{{"body": {payload}, "content-type": "application/json",
            "headers": {{"task": "t", "id": "i"}}, "properties": {{}}}}"#
    );
    read(&body).map(|message| message.args.into_iter().next().expect("one argument"))
}

#[track_caller]
fn check(json: &str, expected: &str) {
    assert_eq!(tagged(&argument(json).expect(json)).to_string(), expected);
    assert_eq!(
        tagged(&celery_argument(json).expect(json)).to_string(),
        expected
    );
}

#[track_caller]
fn check_typed(json: &str, expected: &str) {
    assert_eq!(
        tagged(&celery_argument(json).expect(json)).to_string(),
        expected
    );
    assert!(
        matches!(argument(json), Ok(Value::Map(_))),
        "in PyQS's own form it is a plain map"
    );
}

#[track_caller]
fn check_refused(json: &str) {
    let error = argument(json).expect_err(json);
    assert_eq!(error.fault, Fault::Malformed, "{json}: {error}");
    celery_argument(json).expect_err(json);
}

#[test]
fn numbers_keep_their_type() {
    check("0", "0");
    check("-0", "0");
    check("1.0", "1.0");
    check("-0.0", "-0.0");
    check("1e3", "1000.0");
    check("1E-2", "0.01");
    check("1e999", r#"{"$float":"inf"}"#);
    check(
        "9223372036854775807",
        r#"{"$bigint":"9223372036854775807"}"#,
    );
    check(
        "-9223372036854775809",
        r#"{"$bigint":"-9223372036854775809"}"#,
    );
    check("NaN", r#"{"$float":"nan"}"#);
    check(
        "[Infinity, -Infinity]",
        r#"[{"$float":"inf"},{"$float":"-inf"}]"#,
    );
}

#[test]
fn what_python_does_not_take_for_a_number_is_refused() {
    for word in [
        "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x10", "-NaN", "nan", "True", "1_000", "--1",
        "1.e3",
    ] {
        check_refused(word);
    }
}

#[test]
fn strings_keep_what_python_keeps() {
    check(
        r#""\u017elu\u0165 \/ \" \\ \b\f\n\r\t""#,
        r#""žluť / \" \\ \b\f\n\r\t""#,
    );
    check(r#""😀 \ud83d\ude00""#, r#""😀 😀""#);
    check(r#""a\ud83dz""#, r#"{"$str_u16":"0061d83d007a"}"#);
    check(r#""\ud83d\ud83d\ude00""#, r#"{"$str_u16":"d83dd83dde00"}"#);
    check(r#""\ude00\ud83d""#, r#"{"$str_u16":"de00d83d"}"#);
    check(r#""\u0000""#, r#""\u0000""#);
    check(
        r#""long enough for the eight bytes at once \n and after""#,
        r#""long enough for the eight bytes at once \n and after""#,
    );
}

#[test]
fn broken_strings_are_refused() {
    for text in [
        r#""\x41""#,
        r#""\u12""#,
        r#""\u12g4""#,
        "\"\u{1}\"",
        "\"12345678\u{1f}\"",
        r#""\ud83d\u12""#,
        r#""\é""#,
    ] {
        check_refused(text);
    }
}

#[test]
fn the_last_of_equal_keys_counts_at_the_place_of_the_first() {
    let Ok(Value::Map(members)) = argument(r#"{"a": 1, "b": 2, "\u0061": 3}"#) else {
        panic!("a map")
    };
    let expected = [
        (Value::Str("a".into()), Value::Int(3)),
        (Value::Str("b".into()), Value::Int(2)),
    ];
    assert_eq!(members, expected);

    let many: Vec<String> = (0..40).map(|n| format!(r#""k{}": {n}"#, n % 20)).collect();
    let Ok(Value::Map(members)) = argument(&format!("{{{}}}", many.join(","))) else {
        panic!("a map")
    };
    let expected: Vec<_> = (0..20)
        .map(|n| (Value::Str(format!("k{n}")), Value::Int(n + 20)))
        .collect();
    assert_eq!(members, expected);
}

#[test]
fn equal_fields_of_a_message_are_taken_from_the_last() {
    let message =
        read(r#"{"task": "a", "args": [1], "args": [2], "kwargs": {"k": 1, "k": 2}, "task": "b"}"#)
            .expect("native");
    assert_eq!(message.head.task, "b");
    assert_eq!(message.args, [Value::Int(2)]);
    assert_eq!(message.kwargs, [("k".to_owned(), Value::Int(2))]);
}

#[test]
fn broken_structure_is_refused() {
    for json in [
        "[1,]",
        "[,1]",
        "[1 2]",
        r#"{"a"}"#,
        r#"{"a": }"#,
        r#"{"a": 1,}"#,
        "{1: 2}",
        r#"{"a" 1}"#,
        "[}",
        "{]",
    ] {
        check_refused(json);
    }
}

#[test]
fn typed_values_of_kombu_are_what_they_stand_for() {
    let typed =
        |kind: &str, value: &str| format!(r#"{{"__type__": "{kind}", "__value__": {value}}}"#);
    check_typed(
        &typed("datetime", r#""2026-01-31T10:20:30.000400+02:00""#),
        r#"{"$datetime":"2026-01-31T10:20:30.000400+02:00"}"#,
    );
    check_typed(
        &typed("datetime", r#""2026-01-31T10:20:30""#),
        r#"{"$datetime":"2026-01-31T10:20:30"}"#,
    );
    check_typed(
        &typed("date", r#""2024-02-29""#),
        r#"{"$date":"2024-02-29"}"#,
    );
    check_typed(
        &typed("time", r#""23:59:59.999999""#),
        r#"{"$time":"23:59:59.999999"}"#,
    );
    check_typed(&typed("decimal", r#""1.10""#), r#"{"$decimal":"1.10"}"#);
    check_typed(
        &typed("decimal", r#""-sNaN12""#),
        r#"{"$decimal":"-sNaN12"}"#,
    );
    check_typed(
        &typed("uuid", r#"{"hex": "00112233445566778899aabbccddeeff"}"#),
        r#"{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}"#,
    );
    check_typed(&typed("bytes", r#""žluť""#), r#"{"$bytes":"xb5sdcWl"}"#);
    check_typed(&typed("base64", r#""/w==""#), r#"{"$bytes":"/w=="}"#);
    check_typed(
        r#"{"__value__": "1", "__type__": "decimal"}"#,
        r#"{"$decimal":"1"}"#,
    );
}

#[test]
fn maps_that_only_look_typed_stay_maps() {
    for json in [
        r#"{"__type__": "date"}"#,
        r#"{"__type__": "date", "__value__": "x", "more": 1}"#,
        r#"{"__value__": 1}"#,
    ] {
        assert!(matches!(celery_argument(json), Ok(Value::Map(_))), "{json}");
    }
}

#[test]
fn typed_values_that_are_none_are_refused() {
    for (kind, value) in [
        ("datetime", r#""2026-02-30""#),
        ("datetime", "5"),
        ("time", r#""24:00""#),
        ("decimal", r#""1e""#),
        ("uuid", r#"{"hex": "12"}"#),
        ("base64", r#""%""#),
        ("os.system", r#""true""#),
    ] {
        let json = format!(r#"{{"__type__": "{kind}", "__value__": {value}}}"#);
        celery_argument(&json).expect_err(&json);
    }
}

#[test]
fn depth_is_limited() {
    // The message itself is one level, the arguments' own list another.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    argument(&nested(DEPTH_MAX - 2)).expect("at the limit");
    celery_argument(&nested(DEPTH_MAX - 2)).expect("at the limit");
    assert_eq!(
        argument(&nested(DEPTH_MAX - 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );
    let body = format!(
        r#"{{"task": "t", "args": {}, "kwargs": {{}}}}"#,
        nested(DEPTH_MAX)
    );
    assert_eq!(
        read_head(&body).expect_err("one beyond").fault,
        Fault::OverLimit
    );
}

#[test]
fn memory_is_limited() {
    // The arguments' own list is a value with a chunk.
    let fitting = (BUILT_BYTES_MAX - VALUE_BYTES - CHUNK_BYTES) / VALUE_BYTES;
    let body = |values: usize| {
        let list = format!("[{}1]", "1,".repeat(values - 1));
        format!(r#"{{"task": "t", "args": {list}, "kwargs": {{}}}}"#)
    };
    read(&body(fitting)).expect("at the limit");
    assert_eq!(
        read(&body(fitting + 1)).expect_err("one beyond").fault,
        Fault::OverLimit
    );
}

#[test]
fn digits_are_limited() {
    argument(&"9".repeat(INTEGER_DIGITS_MAX)).expect("at the limit");
    argument(&format!("-{}", "9".repeat(INTEGER_DIGITS_MAX))).expect("a sign is no digit");
    assert_eq!(
        argument(&"9".repeat(INTEGER_DIGITS_MAX + 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );
}
