package input

import "github.com/necrostack/necrostack/examples/notifications/notification"

// Contacts returns the users that are built in. All can be reached by every channel.
func Contacts() notification.Contacts {
	return notification.Contacts{
		"user_001": {Email: "ada@example.com", Phone: "+12025550101", Device: "device-001"},
		"user_002": {Email: "ben@example.com", Phone: "+12025550102", Device: "device-002"},
		"user_003": {Email: "cleo@example.com", Phone: "+12025550103", Device: "device-003"},
	}
}

// BlockedPhones lists the numbers that the SMS provider refuses: that of user_003.
func BlockedPhones() []string { return []string{"+12025550103"} }

// Sample returns five requests to the built-in users. With BlockedPhones there are eight deliveries, one SMS is parked, and four of the
// requests are completed.
func Sample() []Row { return Samples(1) }

// Samples returns the requests of Sample so many times. Those of fewer times are the first ones of more.
func Samples(times int) []Row {
	var rows []Row
	add := func(user, message string, p notification.Priority, channels ...notification.Channel) {
		rows = append(rows, Row{
			Place:   Place{Number: len(rows) + 1},
			Request: notification.Requested{UserID: user, Channels: channels, Message: message, Priority: p},
		})
	}
	for range times {
		add("user_001", "Somebody signed in from a new device.", notification.High, notification.Email, notification.SMS, notification.Push)
		add("user_002", "Your order is on its way.", notification.Normal, notification.Email, notification.Push)
		add("user_003", "Your invoice is due tomorrow.", notification.Normal, notification.Email, notification.SMS)
		add("user_001", "Three new comments on your post.", notification.Low, notification.Push)
		add("user_002", "Your code is 483920.", notification.High, notification.SMS)
	}
	identify("the built-in sample", rows)
	return rows
}
