package notification

import (
	"fmt"
	"slices"
	"strings"
)

// Check judges a request: Validated, or Failed with all reasons at once. A channel that is named twice counts once. A message that is
// too long for one of its channels fails as a whole, so that nobody gets half of a notification.
func Check(r Requested, known Contacts) Payload {
	contact, reachable := known[r.UserID]
	var reasons []string
	if !reachable {
		reasons = append(reasons, fmt.Sprintf("user_id %.60q is unknown", r.UserID))
	}
	if len(r.Channels) == 0 {
		reasons = append(reasons, "channels are missing")
	}
	var recipients []Recipient
	for i, c := range r.Channels {
		if slices.Contains(r.Channels[:i], c) {
			continue
		}
		to := Recipient{Channel: c, Address: contact.Address(c)}
		switch {
		case !slices.Contains(Channels(), c):
			reasons = append(reasons, fmt.Sprintf("channels: %.60q is not one of %s", c, list(Channels())))
		case reachable && to.Address == "":
			reasons = append(reasons, fmt.Sprintf("channels: %s has no %s, which %s needs", r.UserID, needs(c), c))
		}
		if err := c.Fits(r.Message); err != nil {
			reasons = append(reasons, err.Error())
		}
		recipients = append(recipients, to)
	}
	if strings.TrimSpace(r.Message) == "" {
		reasons = append(reasons, "message is empty")
	}
	if !slices.Contains(Priorities(), r.Priority) {
		reasons = append(reasons, fmt.Sprintf("priority %.60q is not one of %s", r.Priority, list(Priorities())))
	}
	if len(reasons) > 0 {
		return Failed{RequestID: r.RequestID, UserID: r.UserID, Reasons: reasons, Priority: r.Priority}
	}
	return Validated{RequestID: r.RequestID, UserID: r.UserID, Recipients: recipients, Message: r.Message, Priority: r.Priority}
}

func list[W ~string](words []W) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}
