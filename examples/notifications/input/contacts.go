package input

import (
	"fmt"
	"io"
	"strings"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// ReadContacts reads a CSV file of contacts. Its header names the columns user_id, email, phone and device, in any order; an empty
// field means that the user has none. A user that is given twice, and an address that cannot be one, is a Fault.
func ReadContacts(r io.Reader) (notification.Contacts, []Fault, error) { return limits.contacts(r) }

func (b bounds) contacts(r io.Reader) (notification.Contacts, []Fault, error) {
	data, err := b.content(r)
	if err != nil {
		return nil, nil, err
	}
	all, lines := notification.Contacts{}, map[string]int{}
	columns := []string{"user_id", "email", "phone", "device"}
	faults, err := b.table(data, columns, func(line int, values map[string]string) error {
		var errs []error
		text := func(column string) string {
			value := strings.TrimSpace(values[column])
			errs = append(errs, textFault(column, value))
			return value
		}
		user := text("user_id")
		c := notification.Contact{Email: text("email"), Phone: text("phone"), Device: text("device")}
		if joined(errs) == nil {
			errs = append(errs, c.Validate())
		}
		if user == "" {
			errs = append(errs, fmt.Errorf("user_id is empty"))
		} else if lines[user] > 0 {
			errs = append(errs, fmt.Errorf("user_id %.60q is on line %d already", user, lines[user]))
		}
		if err := joined(errs); err != nil {
			return err
		}
		all[user], lines[user] = c, line
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return all, faults, nil
}
