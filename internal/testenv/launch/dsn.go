package launch

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Redirect returns dsn with another address, of the form host:port. It takes URLs of any product, and the keywords and
// values of PostgreSQL. Its errors do not hold dsn, which may hold a password.
func Redirect(dsn, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("redirecting a DSN: %w", err)
	}
	return rewrite(dsn, " host="+host+" port="+port, func(u *url.URL) []string {
		u.Host = addr
		return []string{"host", "port"}
	})
}

// withDatabase returns dsn with the name of another database.
func withDatabase(dsn, name string) (string, error) {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name)
	return rewrite(dsn, " dbname='"+quoted+"'", func(u *url.URL) []string {
		u.Path, u.RawPath = "/"+name, ""
		return []string{"dbname", "database"}
	})
}

// rewrite changes a DSN: a URL by change, which also names the parameters that would overrule it, and keywords and
// values, of which the last one counts, by what is appended.
func rewrite(dsn, appended string, change func(*url.URL) (overruling []string)) (string, error) {
	if !strings.Contains(dsn, "://") {
		return dsn + appended, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the DSN is no valid URL")
	}
	query := u.Query()
	for _, parameter := range change(u) {
		query.Del(parameter)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}
