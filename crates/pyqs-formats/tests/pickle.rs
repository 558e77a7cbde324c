//! Pickles that would run something, that lie, or that grow: refused, soon, and with the reason.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use insta::assert_snapshot;
use pyqs_formats::limits::{DEPTH_MAX, INTEGER_DIGITS_MAX, PICKLE_STACK_MAX};
use pyqs_formats::undecodable::Fault;
use pyqs_formats::{Reader, Undecodable, Value, read, read_head};
use serde_json::json;

/// Reads what instructions leave as the one argument of a task.
fn argument(instructions: &[u8]) -> Result<Value, Undecodable> {
    // `[[argument], {}, None]`.
    let payload = [b"\x80\x02(]", instructions, b"a}Nt."].concat();
    let body = envelope(&payload);
    let message = read(&body);
    assert!(message.is_err() || read_head(&body).is_ok());
    message.map(|message| message.args.into_iter().next().expect("one argument"))
}

fn envelope(payload: &[u8]) -> String {
    json!({
        "body": STANDARD.encode(payload), "content-type": "application/x-python-serialize",
        "properties": {"body_encoding": "base64"}, "headers": {"task": "t", "id": "i"},
    })
    .to_string()
}

fn error(instructions: &[u8]) -> String {
    argument(instructions).expect_err("refused").to_string()
}

#[test]
fn what_would_run_something_is_refused() {
    assert_snapshot!(error(b"cposix\nsystem\n(U\x02lstR"), @r#"payload: pickle: it names "posix.system", which is not data and is never imported; send plain data, or start the worker with --unsafe-pickle"#);
    assert_snapshot!(error(b"c__builtin__\neval\n(U\x011tR"), @r#"payload: pickle: it names "__builtin__.eval", which is not data and is never imported; send plain data, or start the worker with --unsafe-pickle"#);
    assert_snapshot!(error(b"\x8c\x08builtins\x8c\x07getattr\x93"), @r#"payload: pickle: it names "builtins.getattr", which is not data and is never imported; send plain data, or start the worker with --unsafe-pickle"#);
    assert_snapshot!(error(b"(U\x02lsios\nsystem\n"), @"payload: pickle: it makes an object of a class, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"(cuuid\nUUID\no"), @"payload: pickle: it makes an object of a class, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"Pname\n"), @"payload: pickle: it refers to an object outside of the message, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"U\x04nameQ"), @"payload: pickle: it refers to an object outside of the message, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"\x82\x01"), @"payload: pickle: it names a class by a registered number, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"\x97"), @"payload: pickle: it refers to a buffer outside of the message, which is not data; send plain data, or start the worker with --unsafe-pickle");
    assert_snapshot!(error(b"cuuid\nUUID\n)}\x92"), @"payload: pickle: it makes an object of a class, which is not data; send plain data, or start the worker with --unsafe-pickle");
}

#[test]
fn known_names_take_only_what_python_gives_them() {
    assert_snapshot!(error(b"c__builtin__\nbytearray\n(I99999999999\ntR"), @"payload: not a pickle: a bytearray of what are no bytes");
    assert_snapshot!(error(b"c__builtin__\nbytes\n(I9\ntR"), @"payload: not a pickle: a call that is no data");
    assert_snapshot!(error(b"c_codecs\nencode\n(Vx\nVzlib\ntR"), @"payload: not a pickle: encode() to something else than Latin-1");
    assert_snapshot!(error(b"c__builtin__\nint\n(U\x011tR"), @"payload: not a pickle: a call that is no data");
    assert_snapshot!(error(b"c__builtin__\nobject\n)\x81"), @"payload: not a pickle: an object of a class that is not made so");
    assert_snapshot!(error(b"cdatetime\ndate\n(I2026\nI2\nI30\ntR"), @"payload: not a pickle: a Date of arguments that it does not take");
    assert_snapshot!(error(b"cdatetime\ndatetime\n(U\x0aaaaaaaaaaatR"), @"payload: not a pickle: a DateTime of arguments that it does not take");
    assert_snapshot!(error(b"cdecimal\nDecimal\n(U\x01xtR"), @"payload: not a pickle: a Decimal of arguments that it does not take");
    assert_snapshot!(error(b"ccollections\ndefaultdict\n(U\x01xtR"), @"payload: not a pickle: a defaultdict whose factory is no type");
    assert_snapshot!(error(b"ccelery.canvas\nsignature\n(I1\ntR"), @"payload: not a pickle: a signature that is no map");
    assert_snapshot!(error(b"cuuid\nUUID\n)\x81}U\x03intI-1\nsb"), @"payload: not a pickle: a state that is none of a UUID");
    assert_snapshot!(error(b"]}b"), @"payload: not a pickle: a state that is none of a UUID");
    assert_snapshot!(error(b"I1\n)R"), @"payload: not a pickle: a call of what can't be called");
    assert_snapshot!(error(b"c__builtin__\nset\n((lI1\ntR"), @"payload: not a pickle: a set of several arguments");
}

#[test]
fn broken_programs_are_refused() {
    assert_snapshot!(error(b"\x80\x06N"), @"payload: not a pickle: protocol 6, where 5 is the highest");
    assert_snapshot!(error(b"\xff"), @"payload: not a pickle: instruction 0xff");
    assert_snapshot!(error(b"h\x05"), @"payload: not a pickle: a reference to nothing");
    assert_snapshot!(error(b"gx\n"), @"payload: not a pickle: a reference that is no number");
    assert_snapshot!(error(b"(a"), @"payload: not a pickle: the stack is empty");
    assert_snapshot!(error(b"I1\nI2\na"), @"payload: not a pickle: items are appended to what is no list");
    assert_snapshot!(error(b"}(I1\nu"), @"payload: not a pickle: a key without a value");
    assert_snapshot!(error(b"X\xff\xff\xff\xffab"), @"payload: not a pickle: the data ends early");
    assert_snapshot!(error(b"X\x01\x00\x00\x00\xff"), @"payload: not a pickle: a text that is no UTF-8");
    assert_snapshot!(error(b"I1x\n"), @"payload: not a pickle: an integer that is none");
    assert_snapshot!(error(b"Fx\n"), @"payload: not a pickle: a float that is none");
    assert_snapshot!(error(b"Sx\n"), @"payload: not a pickle: a string without quotes");
    assert_snapshot!(error(b"S'\\x4'\n"), @r#"payload: not a pickle: a \x without two hex digits"#);
    assert_snapshot!(error(b"V\\uzzzz\n"), @r#"payload: not a pickle: a \u without hex digits"#);
    assert_snapshot!(error(b"](]I1\nu"), @"payload: not a pickle: items are set in what is no dict");
    assert_snapshot!(error(b"}]Ns"), @"payload: a list as a key or in a set");
    assert_snapshot!(error(b"(](e"), @"payload: not a pickle: the stack is empty");
    assert_snapshot!(error(b"NN"), @"payload: not a pickle: items are appended to what is no list");
    assert_snapshot!(error(b"cuuid\nUUID\n)\x81"), @"payload: not a pickle: a class or function where a value is wanted");
    assert_snapshot!(error(b"]q\x00h\x00a"), @"payload: pickle: an object that contains itself");
}

#[test]
fn names_that_are_data_stay_data() {
    // A factory that is never called, and a shared list.
    assert!(
        matches!(argument(b"ccollections\ndefaultdict\n(c__builtin__\nlist\ntR"), Ok(Value::Map(map)) if map.is_empty())
    );
    assert_eq!(
        argument(b"](]q\x00h\x00e"),
        Ok(Value::List(vec![Value::List(vec![]), Value::List(vec![])]))
    );
    assert_eq!(
        argument(b"S'\\x41\\102\\q\\''\n"),
        Ok(Value::Str("AB\\q'".into()))
    );
    assert_eq!(
        argument(b"U\x02\xff\xfe"),
        Ok(Value::Bytes(b"\xff\xfe".to_vec()))
    );
}

#[test]
fn keys_that_python_takes_for_equal_are_one() {
    // {1: "a", True: "b", 1.0: "c"}
    let map = argument(b"}(I1\nU\x01aI01\nU\x01bG\x3f\xf0\x00\x00\x00\x00\x00\x00U\x01cu");
    assert_eq!(
        map,
        Ok(Value::Map(vec![(Value::Int(1), Value::Str("c".into()))]))
    );
    let set = argument(b"c__builtin__\nset\n((lI1\naI01\naI2\natR");
    assert_eq!(set, Ok(Value::Set(vec![Value::Int(1), Value::Int(2)])));
}

#[test]
fn depth_is_limited() {
    // The payload, the arguments, and then these.
    let nested = |levels: usize| [b"]".repeat(levels), b"a".repeat(levels - 1)].concat();
    argument(&nested(DEPTH_MAX - 2)).expect("at the limit");
    assert_eq!(
        argument(&nested(DEPTH_MAX - 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );
    argument(&nested(100_000)).expect_err("far beyond");
}

#[test]
fn digits_are_limited() {
    let line = |digits: usize| [b"L".to_vec(), b"9".repeat(digits), b"L\n".to_vec()].concat();
    argument(&line(INTEGER_DIGITS_MAX)).expect("at the limit");
    assert_eq!(
        argument(&line(INTEGER_DIGITS_MAX + 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );
    let binary = |bytes: u32| {
        [
            b"\x8b".to_vec(),
            bytes.to_le_bytes().to_vec(),
            b"\x7f".repeat(bytes as usize),
        ]
        .concat()
    };
    // 256^1785 has 4299 digits, and 127/256 of 256^1786 has 4301.
    argument(&binary(1785)).expect("below the limit");
    assert_eq!(
        argument(&binary(1786)).expect_err("beyond").fault,
        Fault::OverLimit
    );
    assert_eq!(
        argument(&binary(100_000)).expect_err("far beyond").fault,
        Fault::OverLimit
    );
}

#[test]
fn the_stack_is_limited() {
    // On it already: the payload's mark and the arguments' list.
    let over = |values: usize| {
        argument(&b"N".repeat(values))
            .expect_err("values are left")
            .fault
    };
    assert_eq!(over(PICKLE_STACK_MAX - 2), Fault::Malformed);
    assert_eq!(over(PICKLE_STACK_MAX), Fault::OverLimit);
}

/// Each is small, and made so that something in it is done again and again.
#[test]
fn nothing_small_costs_much() {
    let text = |length: u32| {
        [
            b"X".to_vec(),
            length.to_le_bytes().to_vec(),
            b"a".repeat(length as usize),
        ]
        .concat()
    };
    let again = |start: Vec<u8>, step: &[u8], times: usize| [start, step.repeat(times)].concat();
    let arguments = [
        text(300_000),
        b"q\x000".to_vec(),
        b"Vlatin1\nq\x010".to_vec(),
    ]
    .concat();
    let long_tuple = [b"(".to_vec(), b"N".repeat(100_000), b"tq\x000".to_vec()].concat();
    let long_map = [b"}(".to_vec(), b"I1\nN".repeat(50_000), b"uq\x000".to_vec()].concat();
    let long_key = [
        b"}".to_vec(),
        text(300_000),
        b"NsU\x03intI1\nsq\x000".to_vec(),
    ]
    .concat();
    for pickle in [
        again(
            arguments.clone(),
            b"c_codecs\nencode\n(h\x00h\x01tR0",
            20_000,
        ),
        again(
            arguments,
            b"c__builtin__\nbytearray\n(h\x00h\x01tR0",
            20_000,
        ),
        again(long_tuple.clone(), b"c__builtin__\nset\nh\x00R0", 20_000),
        again(long_tuple.clone(), b"c__builtin__\nset\n(h\x00tR0", 20_000),
        again(long_map.clone(), b"cuuid\nUUID\n)\x81h\x00b0", 20_000),
        again(long_map, b"ccelery.canvas\nsignature\n(h\x00tR0", 20_000),
        again(long_key, b"cuuid\nUUID\n)\x81h\x00b0", 20_000),
        again(long_tuple.clone(), b"cdecimal\nDecimal\nh\x00R0", 20_000),
        again(long_tuple, b"ccollections\nOrderedDict\n(h\x00tR0", 20_000),
        again(b"]".to_vec(), b"2", 500_000),
        again(vec![], b"(", 500_000),
        again(b"N".to_vec(), b"\x85", 500_000),
        again(b"N".to_vec(), b"\x94", 500_000),
        again(
            b"]q\x00".to_vec(),
            b"(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00lq\x00",
            20,
        ),
        again(
            b"Nq\x00".to_vec(),
            b"c__builtin__\nfrozenset\n((lh\x00ah\x00atRq\x00",
            200,
        ),
        again(
            b"Nq\x00".to_vec(),
            b"h\x00\x85q\x00h\x00h\x00\x86q\x00",
            200,
        ),
    ] {
        // That it ends soon is what is tested; without bounds each runs for minutes.
        let _ = argument(&pickle);
        let payload = [b"\x80\x02(]", pickle.as_slice(), b"a}Nt."].concat();
        let reader = Reader::default().with_opaque_pickles();
        let _ = reader.read_head(&envelope(&payload));
    }
}
