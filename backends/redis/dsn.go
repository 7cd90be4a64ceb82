package redis

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"github.com/necrostack/necrostack/eventstore"
	"github.com/redis/go-redis/v9"
)

// settings are those of a DSN that are not go-redis' own.
type settings struct {
	log            string
	acceptVolatile bool
}

// connect makes a client of a DSN: see Open. It does no I/O.
func connect(dsn string) (client redis.UniversalClient, s settings, err error) {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "redis" && scheme != "rediss" {
		return nil, s, unusable("begins with neither redis:// nor rediss://")
	}
	if strayAt(rest) {
		return nil, s, unusable("has an @ that is not the one between password and host: write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25")
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, s, unusable("cannot be taken apart: want redis://user:password@host:port/db, where special characters of the password are percent-encoded")
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, s, unusable("has settings that cannot be taken apart: want name=value, with & between them")
	}
	s.log = values.Get("log")
	if text := values.Get("accept_volatile"); text != "" {
		if s.acceptVolatile, err = strconv.ParseBool(text); err != nil {
			return nil, s, unusable("has an accept_volatile that is neither true nor false")
		}
	}
	values.Del("log")
	values.Del("accept_volatile")
	u.RawQuery = values.Encode()
	client, err = newClient(u.String(), values)
	return client, s, err
}

// dials is how often an attempt to connect is made before it counts as failed, unless the DSN says otherwise: whoever calls tries again.
const dials = 1

// newClient makes the kind of client that the settings are for. What go-redis says of a URL may quote it, and is not repeated.
func newClient(dsn string, values url.Values) (redis.UniversalClient, error) {
	const wrong = "has a database, or a setting, that go-redis does not take"
	switch {
	case values.Has("master_name"):
		opt, err := redis.ParseFailoverURL(dsn)
		if err != nil {
			return nil, unusable(wrong + " for Sentinel")
		}
		opt.ContextTimeoutEnabled, opt.DialerRetries = true, cmp.Or(opt.DialerRetries, dials)
		return redis.NewFailoverClient(opt), nil
	case values.Has("addr"):
		opt, err := redis.ParseClusterURL(dsn)
		if err != nil {
			return nil, unusable(wrong + " for a cluster")
		}
		opt.ContextTimeoutEnabled, opt.DialerRetries = true, cmp.Or(opt.DialerRetries, dials)
		return redis.NewClusterClient(opt), nil
	default:
		opt, err := redis.ParseURL(dsn)
		if err != nil {
			return nil, unusable(wrong)
		}
		opt.ContextTimeoutEnabled, opt.DialerRetries = true, cmp.Or(opt.DialerRetries, dials)
		return redis.NewClient(opt), nil
	}
}

// strayAt reports an @ that cannot be the one before the host. Then a part of the password may stand where host or port are read,
// and would show up in what is said about them.
func strayAt(address string) bool {
	end := strings.IndexAny(address+"/", "/?#")
	return strings.Count(address[:end], "@") > 1 || strings.Contains(address[end:], "@")
}

func unusable(reason string) error {
	return &eventstore.InvalidError{Field: "the DSN", Reason: reason}
}
