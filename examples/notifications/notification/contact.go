package notification

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
)

// Contact is how one user can be reached. An empty address means that there is none.
type Contact struct{ Email, Phone, Device string }

// Contacts are users by their id. They are not changed once they are used.
type Contacts map[string]Contact

// Address is where a channel reaches the user, or "" if it does not.
func (c Contact) Address(by Channel) string {
	switch by {
	case Email:
		return c.Email
	case SMS:
		return c.Phone
	case Push:
		return c.Device
	default:
		return ""
	}
}

// Validate reports every address that cannot be one.
func (c Contact) Validate() error {
	var errs []error
	if a, err := mail.ParseAddress(c.Email); c.Email != "" && (err != nil || a.Address != c.Email) {
		errs = append(errs, fmt.Errorf("email %.60q is not an address such as ann@example.com", c.Email))
	}
	if c.Phone != "" && !isPhone(c.Phone) {
		errs = append(errs, fmt.Errorf("phone %.60q is not + and 7 to 15 digits, such as +12025550101", c.Phone))
	}
	if strings.ContainsFunc(c.Device, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		errs = append(errs, fmt.Errorf("device %.60q contains what is no letter, digit or sign", c.Device))
	}
	return errors.Join(errs...)
}

// isPhone holds a number to E.164.
func isPhone(text string) bool {
	digits, plus := strings.CutPrefix(text, "+")
	isNoDigit := func(r rune) bool { return r < '0' || r > '9' }
	return plus && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && !strings.ContainsFunc(digits, isNoDigit)
}

// needs names the address that a channel needs.
func needs(by Channel) string {
	switch by {
	case Email:
		return "e-mail address"
	case SMS:
		return "phone"
	default:
		return "device"
	}
}
