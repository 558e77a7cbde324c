//! Every error as clients see it: status, shape, the old code beside it.

use crate::support::{Running, in_memory};

/// Action, body (`$Q` is an existing queue's URL), status, shape, the Query protocol's code.
/// Shapes of the service's model are `sqs`, those of the framework below it `coral`.
const TABLE: &str = r#"
GetQueueUrl | {"QueueName":"nope"} | 400 | sqs#QueueDoesNotExist | AWS.SimpleQueueService.NonExistentQueue
GetQueueUrl | {"QueueName":"a.b"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
GetQueueUrl | {} | 400 | coral#MissingRequiredParameterException | MissingParameter
CreateQueue | {} | 400 | coral#MissingRequiredParameterException | MissingParameter
CreateQueue | {"QueueName":"a.b"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
CreateQueue | {"QueueName":"q.fifo"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
CreateQueue | {"QueueName":"q","Attributes":{"FifoQueue":"true"}} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
CreateQueue | {"QueueName":"q","Attributes":{"FifoQueue":"false"}} | 400 | sqs#InvalidAttributeName | InvalidAttributeName
CreateQueue | {"QueueName":"email","Attributes":{"DelaySeconds":"1"}} | 400 | sqs#QueueNameExists | QueueAlreadyExists
CreateQueue | {"QueueName":"q","Attributes":{"DelaySeconds":"901"}} | 400 | sqs#InvalidAttributeValue | InvalidAttributeValue
CreateQueue | {"QueueName":"q","Attributes":{"Nope":"1"}} | 400 | sqs#InvalidAttributeName | InvalidAttributeName
SetQueueAttributes | {"QueueUrl":"$Q"} | 400 | coral#MissingRequiredParameterException | MissingParameter
SetQueueAttributes | {"QueueUrl":"$Q","Attributes":{"QueueArn":"x"}} | 400 | sqs#InvalidAttributeName | InvalidAttributeName
SetQueueAttributes | {"QueueUrl":"$Q","Attributes":{"RedrivePolicy":"x"}} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
GetQueueAttributes | {"QueueUrl":"$Q","AttributeNames":["Nope"]} | 400 | sqs#InvalidAttributeName | InvalidAttributeName
DeleteQueue | {"QueueUrl":"$Qx"} | 400 | sqs#QueueDoesNotExist | AWS.SimpleQueueService.NonExistentQueue
PurgeQueue | {} | 400 | coral#MissingRequiredParameterException | MissingParameter
DeleteMessage | {"QueueUrl":"$Q","ReceiptHandle":"x"} | 400 | sqs#ReceiptHandleIsInvalid | ReceiptHandleIsInvalid
DeleteMessage | {"QueueUrl":"$Q"} | 400 | coral#MissingRequiredParameterException | MissingParameter
DeleteMessage | {"QueueUrl":"email","ReceiptHandle":"x"} | 400 | sqs#InvalidAddress | InvalidAddress
ChangeMessageVisibility | {"QueueUrl":"$Q","ReceiptHandle":"x"} | 400 | coral#MissingRequiredParameterException | MissingParameter
ChangeMessageVisibility | {"QueueUrl":"$Q","ReceiptHandle":"x","VisibilityTimeout":43201} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
SendMessage | {"QueueUrl":"$Q","MessageBody":"\u0001"} | 400 | sqs#InvalidMessageContents | InvalidMessageContents
SendMessage | {"QueueUrl":"$Q","MessageBody":""} | 400 | coral#MissingRequiredParameterException | MissingParameter
SendMessage | {"QueueUrl":"$Q","MessageBody":"a","DelaySeconds":-1} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
SendMessage | {"QueueUrl":"$Q","MessageBody":"a","MessageDeduplicationId":"a"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
SendMessage | {"QueueUrl":"$Q","MessageBody":"a","MessageAttributes":{"a":{}}} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
SendMessageBatch | {"QueueUrl":"$Q"} | 400 | sqs#EmptyBatchRequest | AWS.SimpleQueueService.EmptyBatchRequest
DeleteMessageBatch | {"QueueUrl":"$Q","Entries":[{"Id":"a b"}]} | 400 | sqs#InvalidBatchEntryId | AWS.SimpleQueueService.InvalidBatchEntryId
DeleteMessageBatch | {"QueueUrl":"$Q","Entries":[{"Id":"a"},{"Id":"a"}]} | 400 | sqs#BatchEntryIdsNotDistinct | AWS.SimpleQueueService.BatchEntryIdsNotDistinct
ReceiveMessage | {"QueueUrl":"$Q","MaxNumberOfMessages":11} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
ReceiveMessage | {"QueueUrl":"$Q","MaxNumberOfMessages":"ten"} | 400 | coral#SerializationException | MalformedInput
ReceiveMessage | {"QueueUrl":"$Q","WaitTimeSeconds":21} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
ReceiveMessage | {"QueueUrl":"$Q","AttributeNames":["x"]} | 400 | sqs#InvalidAttributeName | InvalidAttributeName
ListQueues | {"MaxResults":1001} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
StartMessageMoveTask | {} | 400 | coral#MissingRequiredParameterException | MissingParameter
StartMessageMoveTask | {"SourceArn":"email"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
StartMessageMoveTask | {"SourceArn":"arn:aws:sqs:us-east-1:000000000000:nope"} | 404 | sqs#ResourceNotFoundException | ResourceNotFoundException
StartMessageMoveTask | {"SourceArn":"arn:aws:sqs:us-east-1:000000000000:email"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
StartMessageMoveTask | {"SourceArn":"arn:aws:sqs:us-east-1:000000000000:email","MaxNumberOfMessagesPerSecond":501} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
StartMessageMoveTask | {"SourceArn":"arn:aws:sqs:us-east-1:000000000000:email","MaxNumberOfMessagesPerSecond":-1} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
CancelMessageMoveTask | {"TaskHandle":"x"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
CancelMessageMoveTask | {"TaskHandle":"eyJ0YXNrSWQiOiJ4Iiwic291cmNlQXJuIjoieCJ9"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
ListMessageMoveTasks | {} | 400 | coral#MissingRequiredParameterException | MissingParameter
ListMessageMoveTasks | {"SourceArn":"arn:aws:sqs:us-east-1:000000000000:email","MaxResults":11} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
AddPermission | {"QueueUrl":"$Q"} | 400 | coral#MissingRequiredParameterException | MissingParameter
AddPermission | {"QueueUrl":"$Q","Label":"a b","AWSAccountIds":["123456789012"],"Actions":["SendMessage"]} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
AddPermission | {"QueueUrl":"$Q","Label":"a","AWSAccountIds":["123456789012"],"Actions":["CreateQueue"]} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
AddPermission | {"QueueUrl":"$Q","Label":"a","AWSAccountIds":["123456789012"],"Actions":["Dance"]} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
RemovePermission | {"QueueUrl":"$Q","Label":"a"} | 400 | coral#InvalidParameterValueException | InvalidParameterValue
Dance | {} | 404 | coral#UnknownOperationException | InvalidAction
"#;

#[tokio::test]
async fn errors_have_their_statuses_shapes_and_codes() {
    let server = Running::start(in_memory());
    let queue = server.queue("email", serde_json::json!({})).await;
    for row in TABLE.lines().filter(|line| !line.is_empty()) {
        let columns: Vec<_> = row.split(" | ").collect();
        let [action, body, status, shape, query_code] = columns[..] else {
            panic!("five columns: {row}");
        };
        let body = serde_json::from_str(&body.replace("$Q", &queue)).unwrap();
        let answer = server.call(action, body).await;
        let (namespace, shape) = shape.split_once('#').unwrap();
        let namespace = match namespace {
            "sqs" => "com.amazonaws.sqs",
            _ => "com.amazon.coral.service",
        };
        let what = format!("{row}\ngot {}: {}", answer.status, answer.text());
        assert_eq!(answer.status.to_string(), status, "{what}");
        assert_eq!(
            answer.json()["__type"],
            format!("{namespace}#{shape}"),
            "{what}"
        );
        assert!(
            !answer.json()["message"].as_str().unwrap().is_empty(),
            "{what}"
        );
        let query_error = format!("{query_code};Sender");
        assert_eq!(
            answer.header("x-amzn-query-error"),
            Some(&*query_error),
            "{what}"
        );
        let media_type = Some("application/x-amz-json-1.0");
        assert_eq!(answer.header("content-type"), media_type, "{what}");
        assert_eq!(answer.header("x-pyqs-ends-polls"), Some("yes"), "{what}");
        assert!(answer.header("x-amzn-requestid").is_some(), "{what}");
    }
    server.stop().await;
}
