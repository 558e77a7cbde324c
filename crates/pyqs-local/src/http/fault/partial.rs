//! Batches of which some entries fail: they are taken out before the work and told of after it.

use serde::Serialize;
use serde_json::Value;

use crate::actions::{Action, Call, Reply};
use crate::error::ApiError;

/// An entry that failed, as the batch actions answer it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    id: String,
    sender_fault: bool,
    code: &'static str,
    message: &'static str,
}

/// Carries a batch action out for the entries that do not fail.
pub(super) async fn handle(
    action: Action,
    call: &Call,
    parameters: &[u8],
    mut fails: impl FnMut() -> bool,
) -> Result<Reply, ApiError> {
    // What is wrong with the request is the action's to say.
    let Ok(mut request) = serde_json::from_slice::<Value>(parameters) else {
        return action.handle(call, parameters).await;
    };
    let Some(entries) = request.get_mut("Entries").and_then(Value::as_array_mut) else {
        return action.handle(call, parameters).await;
    };
    let mut failed = Vec::new();
    entries.retain(|entry| {
        let hit = fails();
        if hit {
            let id = entry.get("Id").and_then(Value::as_str).unwrap_or_default();
            failed.push(Failure {
                id: id.to_owned(),
                sender_fault: false,
                code: "InternalError",
                message: "This entry fails by a fault that was asked for.",
            });
        }
        !hit
    });
    if failed.is_empty() {
        return action.handle(call, parameters).await;
    }
    let (mut answer, unconfirmed) = if entries.is_empty() {
        (serde_json::json!({"Successful": [], "Failed": []}), None)
    } else {
        let reply = action.handle(call, request.to_string().as_bytes()).await?;
        let answer: Value = serde_json::from_slice(&reply.body).expect("replies are JSON");
        (answer, reply.unconfirmed)
    };
    let listed = answer.get_mut("Failed").and_then(Value::as_array_mut);
    let listed = listed.expect("batch actions list what failed");
    let failed = failed.into_iter().map(serde_json::to_value);
    listed.extend(failed.map(|failure| failure.expect("a struct of texts is always JSON")));
    let body = answer.to_string().into_bytes();
    Ok(Reply { body, unconfirmed })
}
