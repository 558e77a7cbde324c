//! The Query protocol of version 2012-11-05: parameters as a form, replies as XML.
//!
//! SDKs from before 2024 speak it, and whoever types requests by hand. It is a translation at the
//! edge: a form becomes the JSON that the same request would be ([`form`], [`parameters`]), and a
//! JSON reply becomes XML ([`xml`]), so that actions know of one protocol only.

use axum::http::{Method, StatusCode, request};
use pyqs_broker::Fault;
use serde_json::{Map, Value};

use crate::error::ApiError;
use form::Form;
pub(super) use form::unescape;
use xml::Writer;

mod form;
mod parameters;
mod xml;

/// The media type of its requests.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// Actions whose replies say nothing: they have no `...Result` either.
const WITHOUT_RESULT: [&str; 9] = [
    "AddPermission",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "DeleteQueue",
    "PurgeQueue",
    "RemovePermission",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
];

/// What a form asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) action: String,
    /// The parameters as AWS JSON has them.
    pub(super) parameters: Vec<u8>,
}

/// Reads a form from the query string and from the body, which is empty for GET. The queue is the
/// one that `QueueUrl` names, or else the one to whose path the request was sent.
pub(super) fn read(head: &request::Parts, body: &[u8], host: &str) -> Result<Request, ApiError> {
    if !matches!(head.method, Method::GET | Method::POST) {
        return Err(ApiError::NotFound);
    }
    let mut form = Form::default();
    form.add(head.uri.query().unwrap_or_default().as_bytes())?;
    form.add(body)?;
    let action = form.text("Action").filter(|name| !name.is_empty());
    let action = action.ok_or(ApiError::missing("Action"))?;
    let action = action.to_owned();
    let mut parameters = parameters::structure(form)?;
    let path = head.uri.path();
    if path.len() > 1 && !parameters.contains_key("QueueUrl") {
        let url = Value::String(format!("http://{host}{path}"));
        parameters.insert("QueueUrl".to_owned(), url);
    }
    Ok(Request {
        action,
        parameters: to_json(parameters),
    })
}

/// A reply in AWS JSON as XML.
pub(super) fn reply(action: &str, json: &[u8], request_id: &str) -> Vec<u8> {
    let reply: Value = serde_json::from_slice(json).expect("replies are JSON that we have written");
    let mut xml = Writer::default();
    xml.root(&format!("{action}Response"), NAMESPACE, |xml| {
        if !WITHOUT_RESULT.contains(&action) {
            xml.element(&format!("{action}Result"), |xml| {
                parameters::write(xml, action, &reply);
            });
        }
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    });
    xml.into_bytes()
}

/// A refusal as XML.
pub(super) fn refusal(error: &ApiError, request_id: &str) -> Vec<u8> {
    let mut xml = Writer::default();
    xml.root("ErrorResponse", NAMESPACE, |xml| {
        xml.element("Error", |xml| {
            let fault = match error.fault() {
                Fault::Sender => "Sender",
                Fault::Receiver => "Receiver",
            };
            xml.text("Type", fault);
            xml.text("Code", &error.query_code());
            xml.text("Message", &message(error));
            xml.element("Detail", |_| ());
        });
        xml.text("RequestId", request_id);
    });
    xml.into_bytes()
}

/// The message of a refusal. One is worded otherwise than in AWS JSON, and clients look for it.
fn message(error: &ApiError) -> String {
    match error {
        ApiError::Broker(pyqs_broker::Error::QueueDoesNotExist) => {
            "The specified queue does not exist for this wsdl version.".to_owned()
        }
        error => error.message(),
    }
}

/// The status of a refusal: some are told more finely than in AWS JSON.
pub(super) fn status(error: &ApiError) -> StatusCode {
    match error {
        // There is an address where nothing is; an action that isn't is a wrong parameter.
        ApiError::UnknownOperation { .. } => StatusCode::BAD_REQUEST,
        _ => error.status(),
    }
}

fn to_json(parameters: Map<String, Value>) -> Vec<u8> {
    Value::Object(parameters).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_form(uri: &str, body: &str) -> Result<Request, ApiError> {
        let request = axum::http::Request::post(uri).body(()).unwrap();
        read(&request.into_parts().0, body.as_bytes(), "h:1")
    }

    #[track_caller]
    fn check(form: &str, json: &str) {
        let request = read_form("/", &format!("Action=A&{form}")).unwrap();
        assert_eq!(request.action, "A");
        let mut found: Value = serde_json::from_slice(&request.parameters).unwrap();
        found.as_object_mut().unwrap().remove("Action");
        assert_eq!(found, serde_json::from_str::<Value>(json).unwrap());
    }

    #[test]
    fn texts_and_numbers() {
        check(
            "MessageBody=a+b%20%2B%26%C3%A4",
            r#"{"MessageBody":"a b +&ä"}"#,
        );
        check(
            "DelaySeconds=5&VisibilityTimeout=-1",
            r#"{"DelaySeconds":5,"VisibilityTimeout":-1}"#,
        );
        check("MessageBody=5", r#"{"MessageBody":"5"}"#);
        check("MessageBody=", r#"{"MessageBody":""}"#);
    }

    #[test]
    fn lists_numbered_and_not() {
        check("AttributeName=All", r#"{"AttributeNames":["All"]}"#);
        let sorted = r#"{"MessageAttributeNames":["a","b","c"]}"#;
        check(
            "MessageAttributeName.10=c&MessageAttributeName.1=a&MessageAttributeName.2=b",
            sorted,
        );
        check("TagKey.1=a", r#"{"TagKeys":["a"]}"#);
        check(
            "AWSAccountId.1=1&ActionName.1=*",
            r#"{"AWSAccountIds":["1"],"Actions":["*"]}"#,
        );
    }

    #[test]
    fn maps_of_texts() {
        check(
            "Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Attribute.2.Name=b&Attribute.2.Value=",
            r#"{"Attributes":{"DelaySeconds":"5","b":""}}"#,
        );
        check(
            "Attribute.Name=a&Attribute.Value=5",
            r#"{"Attributes":{"a":"5"}}"#,
        );
        check("Tag.1.Key=a&Tag.1.Value=b", r#"{"Tags":{"a":"b"}}"#);
    }

    #[test]
    fn message_attributes_and_batches() {
        check(
            "SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.DelaySeconds=1&\
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n&\
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=Binary&\
             SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.BinaryValue=AA%3D%3D",
            r#"{"Entries":[{"Id":"a","DelaySeconds":1,"MessageAttributes":
                {"n":{"DataType":"Binary","BinaryValue":"AA=="}}}]}"#,
        );
        check(
            "DeleteMessageBatchRequestEntry.2.Id=b&DeleteMessageBatchRequestEntry.1.Id=a",
            r#"{"Entries":[{"Id":"a"},{"Id":"b"}]}"#,
        );
    }

    #[test]
    fn an_empty_list_of_old_sdks_is_nothing() {
        check(
            "Entries=&AttributeName=&SendMessageBatchRequestEntry=",
            r#"{"AttributeNames":[],"Entries":[]}"#,
        );
    }

    #[test]
    fn the_path_names_the_queue_where_no_parameter_does() {
        let request = read_form("/1/email?Action=A", "").unwrap();
        let json = String::from_utf8(request.parameters).unwrap();
        assert!(
            json.contains(r#""QueueUrl":"http://h:1/1/email""#),
            "{json}"
        );
        let request = read_form("/1/email", "Action=A&QueueUrl=x").unwrap();
        let json = String::from_utf8(request.parameters).unwrap();
        assert!(json.contains(r#""QueueUrl":"x""#), "{json}");
    }

    #[test]
    fn forms_that_are_refused() {
        for form in [
            "",
            "Action",
            "Action=A&MessageBody=%FF",
            "Action=A&DelaySeconds=one",
            "Action=A&DelaySeconds=99999999999999999999",
            "Action=A&Attribute.1.Value=x",
            "Action=A&Attribute.1=x",
            "Action=A&Tag.1.Key=a&Tag.2.Key=a",
            "Action=A&a.b.c.d.e.f.g.h.i.j=x",
            &"a=&".repeat(2_001),
        ] {
            assert!(read_form("/", form).is_err(), "{form}");
        }
    }

    #[test]
    fn replies_are_xml() {
        let text =
            |action, json: &str| String::from_utf8(reply(action, json.as_bytes(), "id")).unwrap();
        let begin =
            |action| format!("<?xml version=\"1.0\"?><{action}Response xmlns=\"{NAMESPACE}\">");
        let end = "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata>";
        assert_eq!(
            text("DeleteQueue", "{}"),
            format!("{}{end}</DeleteQueueResponse>", begin("DeleteQueue"))
        );
        let json = r#"{"Messages":[{"Body":"<&>\"'\r\n\t","Attributes":{"a":"1"},
            "MessageAttributes":{"Messages":{"DataType":"String","StringValue":"x"}}}]}"#;
        assert_eq!(
            text("ReceiveMessage", json),
            format!(
                "{}<ReceiveMessageResult><Message><Attribute><Name>a</Name><Value>1</Value>\
                 </Attribute><Body>&lt;&amp;&gt;&quot;&apos;&#xD;\n\t</Body><MessageAttribute>\
                 <Name>Messages</Name><Value><DataType>String</DataType><StringValue>x\
                 </StringValue></Value></MessageAttribute></Message></ReceiveMessageResult>{end}\
                 </ReceiveMessageResponse>",
                begin("ReceiveMessage")
            )
        );
        let json = r#"{"Successful":[{"Id":"a"}],"Failed":[{"Id":"b","SenderFault":true}]}"#;
        let found = text("DeleteMessageBatch", json);
        let results = "<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault>\
                       </BatchResultErrorEntry><DeleteMessageBatchResultEntry><Id>a</Id>\
                       </DeleteMessageBatchResultEntry>";
        assert!(found.contains(results), "{found}");
    }

    #[test]
    fn an_error_with_a_hostile_name_is_still_xml() {
        let name = "\u{1}<x>".to_owned();
        let found = refusal(&ApiError::UnknownOperation { name }, "id");
        let found = String::from_utf8(found).unwrap();
        assert!(found.contains("<Message>The action \u{fffd}&lt;x&gt; is not valid.</Message>"));
    }
}
