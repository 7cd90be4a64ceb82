package input

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/necrostack/necrostack/examples/notifications/notification"
)

// Row is a request with its place. Its ID is the RequestID too, and fit for the id of an event: it is the same whenever a file of the
// same name is read again, and belongs to what the row says. So a row that has only moved keeps its id, one that was changed gets
// another, and of rows that say the same each has its own.
type Row struct {
	Place

	ID      uuid.UUID
	Request notification.Requested
}

// namespace of the ids of requests.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/necrostack/necrostack/examples/notifications"))

// identify gives the rows of a file their ids.
func identify(file string, rows []Row) {
	same := map[string]int{}
	for i := range rows {
		q := &rows[i].Request
		says := fmt.Sprintf("%q %q %q %q", q.UserID, q.Channels, q.Message, q.Priority)
		same[says]++
		rows[i].ID = uuid.NewSHA1(namespace, fmt.Appendf(nil, "%q %s %d", filepath.Base(file), says, same[says]))
		q.RequestID = rows[i].ID.String()
	}
}

// fields are a row's values as they stand in the file.
type fields struct {
	user, message, priority string
	channels                []string
}

// request makes a request of a row, or says everything that is wrong with it. Channels and priorities are understood in upper and lower
// case; what they are not is left for notification.Check to name, as is everything that is missing. Without a priority it is normal.
func (f fields) request() (notification.Requested, error) {
	var errs []error
	text := func(field, value string) string {
		value = strings.TrimSpace(value)
		errs = append(errs, textFault(field, value))
		return value
	}
	q := notification.Requested{
		UserID:   text("user_id", f.user),
		Message:  text("message", f.message),
		Priority: oneOf(text("priority", f.priority), notification.Priorities()),
	}
	if q.Priority == "" {
		q.Priority = notification.Normal
	}
	if len(f.channels) > MaxChannels {
		errs = append(errs, fmt.Errorf("channels are %d, more than %d", len(f.channels), MaxChannels))
		f.channels = nil
	}
	for _, c := range f.channels {
		q.Channels = append(q.Channels, oneOf(text("channels", c), notification.Channels()))
	}
	if err := joined(errs); err != nil {
		return notification.Requested{}, err
	}
	return q, nil
}

// joined is errors.Join on one line.
func joined(errs []error) error {
	if err := errors.Join(errs...); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// oneOf returns the known word that text is, whatever its case, or the text as it stands.
func oneOf[W ~string](text string, known []W) W {
	for _, w := range known {
		if strings.EqualFold(text, string(w)) {
			return w
		}
	}
	return W(text)
}
