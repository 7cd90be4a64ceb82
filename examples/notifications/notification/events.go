package notification

// Payload is what decisions return: an event's content, a plain struct that knows its event type.
type Payload interface{ EventType() string }

// Requested asks for a user to be notified. What it says is not checked.
type Requested struct {
	RequestID string    `json:"request_id"`
	UserID    string    `json:"user_id"`
	Channels  []Channel `json:"channels"`
	Message   string    `json:"message"`
	Priority  Priority  `json:"priority"`
}

// EventType implements the framework's payload.
func (Requested) EventType() string { return "NOTIFICATION_REQUESTED" }

// Validated says that a request can go out, and where to.
type Validated struct {
	RequestID  string      `json:"request_id"`
	UserID     string      `json:"user_id"`
	Recipients []Recipient `json:"recipients"` // each channel once, in the order of the request
	Message    string      `json:"message"`
	Priority   Priority    `json:"priority"`
}

// Recipient is a user's address on one channel.
type Recipient struct {
	Channel Channel `json:"channel"`
	Address string  `json:"address"`
}

// EventType implements the framework's payload.
func (Validated) EventType() string { return "NOTIFICATION_VALIDATED" }

// Failed says that nothing of a request goes out, and everything that is wrong with it.
type Failed struct {
	RequestID string   `json:"request_id"`
	UserID    string   `json:"user_id"`
	Reasons   []string `json:"reasons"`
	Priority  Priority `json:"priority"`
}

// EventType implements the framework's payload.
func (Failed) EventType() string { return "NOTIFICATION_FAILED" }

// Message is one text on its way to one address.
type Message struct {
	RequestID string   `json:"request_id"`
	UserID    string   `json:"user_id"`
	To        string   `json:"to"`
	Text      string   `json:"text"`
	Priority  Priority `json:"priority"`
}

// EmailSendRequested asks for a message to be sent by e-mail.
type EmailSendRequested struct{ Message }

// EventType implements the framework's payload.
func (EmailSendRequested) EventType() string { return "EMAIL_SEND_REQUESTED" }

// SMSSendRequested asks for a message to be sent by SMS.
type SMSSendRequested struct{ Message }

// EventType implements the framework's payload.
func (SMSSendRequested) EventType() string { return "SMS_SEND_REQUESTED" }

// PushSendRequested asks for a message to be pushed to a device.
type PushSendRequested struct{ Message }

// EventType implements the framework's payload.
func (PushSendRequested) EventType() string { return "PUSH_SEND_REQUESTED" }

// Receipt says whom a message has reached.
type Receipt struct {
	RequestID string   `json:"request_id"`
	UserID    string   `json:"user_id"`
	To        string   `json:"to"`
	Priority  Priority `json:"priority"`
}

// Receipt is what is recorded once the message was delivered.
func (m Message) Receipt() Receipt {
	return Receipt{RequestID: m.RequestID, UserID: m.UserID, To: m.To, Priority: m.Priority}
}

// EmailDelivered says that an e-mail went out.
type EmailDelivered struct{ Receipt }

// EventType implements the framework's payload.
func (EmailDelivered) EventType() string { return "EMAIL_DELIVERED" }

// SMSDelivered says that an SMS went out.
type SMSDelivered struct{ Receipt }

// EventType implements the framework's payload.
func (SMSDelivered) EventType() string { return "SMS_DELIVERED" }

// PushDelivered says that a message was pushed to a device.
type PushDelivered struct{ Receipt }

// EventType implements the framework's payload.
func (PushDelivered) EventType() string { return "PUSH_DELIVERED" }
