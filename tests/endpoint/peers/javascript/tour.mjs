// A tour with the AWS SDK for JavaScript v3: `node tour.mjs URL QUEUE`. Run from a folder with the SDK in it.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const sdk = require("@aws-sdk/client-sqs");
const [url, name] = process.argv.slice(2);
const sqs = new sdk.SQSClient({ endpoint: url, region: "us-east-1", maxAttempts: 1 });
const call = (Command, input) => sqs.send(new Command(input));

const { QueueUrl } = await call(sdk.CreateQueueCommand, { QueueName: name, Attributes: { VisibilityTimeout: "9" } });
assert.ok((await call(sdk.ListQueuesCommand, { QueueNamePrefix: name })).QueueUrls.includes(QueueUrl));
const asked = await call(sdk.GetQueueAttributesCommand, { QueueUrl, AttributeNames: ["All"] });
assert.equal(asked.Attributes.VisibilityTimeout, "9");

// The SDK checks the MD5s of bodies itself.
const MessageAttributes = {
  text: { DataType: "String", StringValue: "äöü ☃" },
  bytes: { DataType: "Binary", BinaryValue: Uint8Array.of(0, 1, 255) },
};
const body = 'quotes " and \\ tabs \t lines \r\n and 𝄞';
const sent = await call(sdk.SendMessageCommand, { QueueUrl, MessageBody: body, MessageAttributes });
const options = { QueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ["All"] };
const all = { ...options, MessageSystemAttributeNames: ["All"] };
const [message] = (await call(sdk.ReceiveMessageCommand, all)).Messages;
assert.equal(message.MessageId, sent.MessageId);
assert.equal(message.Body, body);
assert.equal(message.MessageAttributes.text.StringValue, "äöü ☃");
assert.deepEqual([...message.MessageAttributes.bytes.BinaryValue], [0, 1, 255]);
assert.equal(message.Attributes.ApproximateReceiveCount, "1");
await call(sdk.DeleteMessageCommand, { QueueUrl, ReceiptHandle: message.ReceiptHandle });
assert.equal((await call(sdk.ReceiveMessageCommand, options)).Messages, undefined);

const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: `${i}` }));
assert.equal((await call(sdk.SendMessageBatchCommand, { QueueUrl, Entries })).Successful.length, 10);
const { Messages } = await call(sdk.ReceiveMessageCommand, options);
const handles = Messages.map(({ ReceiptHandle }, i) => ({ Id: `${i}`, ReceiptHandle }));
const deleted = await call(sdk.DeleteMessageBatchCommand, { QueueUrl, Entries: handles });
assert.deepEqual([deleted.Successful.length, deleted.Failed ?? []], [10, []]);

const refused = async (Command, input, Type) => assert.rejects(call(Command, input), Type);
await refused(sdk.SendMessageBatchCommand, { QueueUrl, Entries: [] }, sdk.EmptyBatchRequest);
await refused(sdk.DeleteMessageCommand, { QueueUrl, ReceiptHandle: "x" }, sdk.ReceiptHandleIsInvalid);
await refused(sdk.SendMessageCommand, { QueueUrl, MessageBody: "\u0001" }, sdk.InvalidMessageContents);
await call(sdk.DeleteQueueCommand, { QueueUrl });
await refused(sdk.GetQueueUrlCommand, { QueueName: name }, sdk.QueueDoesNotExist);
console.log("done");
