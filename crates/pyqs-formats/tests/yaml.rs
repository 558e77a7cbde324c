//! YAML's edges: tags that build objects, lists that contain themselves, laughs, depth.

use insta::assert_snapshot;
use pyqs_formats::limits::DEPTH_MAX;
use pyqs_formats::undecodable::Fault;
use pyqs_formats::{Undecodable, Value, read, read_head};
use serde_json::json;

fn argument(yaml: &str) -> Result<Value, Undecodable> {
    let payload = format!("task: t\nid: i\nargs:\n- {}", yaml.replace('\n', "\n  "));
    let body = json!({"body": payload, "content-type": "application/x-yaml", "properties": {}})
        .to_string();
    let message = read(&body);
    assert_eq!(
        message.as_ref().map(|message| &message.head).ok(),
        read_head(&body).as_ref().ok()
    );
    message.map(|message| message.args.into_iter().next().expect("one argument"))
}

fn error(yaml: &str) -> String {
    argument(yaml).expect_err("refused").to_string()
}

#[test]
fn what_builds_objects_is_refused() {
    assert_snapshot!(error("!!python/object/apply:os.system ['true']"), @r#"payload: YAML: the tag "python/object/apply:os.system" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!!python/name:os.system ''"), @r#"payload: YAML: the tag "python/name:os.system" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!!python/tuple [1]"), @r#"payload: YAML: the tag "python/tuple" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!local x"), @r#"payload: YAML: the tag "!local" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!<tag:example.org,2026:x> x"), @r#"payload: YAML: the tag "tag:example.org,2026:x" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!!omap [a: 1]"), @r#"payload: YAML: the tag "omap" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!!set [a]"), @r#"payload: YAML: the tag "set" is no plain data and builds nothing here; send plain data"#);
    assert_snapshot!(error("!!int [a]"), @r#"payload: YAML: the tag "int" is no plain data and builds nothing here; send plain data"#);
}

#[test]
fn broken_texts_are_refused() {
    assert_snapshot!(error("[1"), @"payload: not YAML: while parsing a flow sequence, expected ',' or ']' at byte 24 line 5 column 1");
    assert_snapshot!(error("'a"), @"payload: not YAML: while scanning a quoted scalar, found unexpected end of stream at byte 22 line 4 column 3");
    assert_snapshot!(error("*nowhere"), @"payload: not YAML: while parsing node, found unknown anchor at byte 22 line 4 column 3");
    assert_snapshot!(error("&a [1, *a]"), @"payload: YAML: a list or map that contains itself");
    assert_snapshot!(error("!!int x"), @"payload: YAML: a int that is none");
    assert_snapshot!(error("!!binary '%'"), @"payload: YAML: a binary that is none");
    assert_snapshot!(error("{[1]: 2}"), @"payload: a list as a key or in a set");
    assert_snapshot!(error("{<<: 5}"), @"payload: YAML: << of what is no map");
}

#[test]
fn there_is_one_document() {
    let body = |yaml: &str| {
        json!({"body": yaml, "content-type": "application/x-yaml", "properties": {}}).to_string()
    };
    read(&body("task: t\nid: i\n...\n")).expect("one");
    assert_snapshot!(read(&body("task: t\nid: i\n--- 2\n")).expect_err("two"), @"payload: not YAML: more than one document");
    assert_snapshot!(read(&body("# nothing\n")).expect_err("none"), @"payload: not YAML: no document");
}

#[test]
fn depth_is_limited_and_repetition_does_not_hide_it() {
    // The payload and the arguments are two levels.
    let nested = |levels: usize| "- ".repeat(levels) + "x";
    argument(&nested(DEPTH_MAX - 2)).expect("at the limit");
    assert_eq!(
        argument(&nested(DEPTH_MAX - 1))
            .expect_err("one beyond")
            .fault,
        Fault::OverLimit
    );

    let chain = |links: usize| {
        let link = |n: usize| format!("- &a{n} [*a{}]\n", n - 1);
        (1..links).fold("- &a0 [x]\n".to_owned(), |text, n| text + &link(n))
    };
    argument(&chain(100)).expect("a chain of aliases");
    assert_eq!(
        argument(&chain(5000)).expect_err("a long one").fault,
        Fault::OverLimit
    );
}

#[test]
fn laughs_are_limited() {
    let level = |n: usize| format!("- &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(","));
    let laughs = (1..20).fold("- &a0 lol\n".to_owned(), |text, n| text + &level(n));
    assert_eq!(
        argument(&laughs).expect_err("a billion").fault,
        Fault::OverLimit
    );
}
