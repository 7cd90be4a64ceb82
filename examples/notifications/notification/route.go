package notification

// Route splits a request by channel: one EmailSendRequested, SMSSendRequested or PushSendRequested for each recipient.
func Route(v Validated) []Payload {
	var out []Payload
	for _, to := range v.Recipients {
		m := Message{RequestID: v.RequestID, UserID: v.UserID, To: to.Address, Text: v.Message, Priority: v.Priority}
		switch to.Channel {
		case Email:
			out = append(out, EmailSendRequested{m})
		case SMS:
			out = append(out, SMSSendRequested{m})
		case Push:
			out = append(out, PushSendRequested{m})
		}
	}
	return out
}
