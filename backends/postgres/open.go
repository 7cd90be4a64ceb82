package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/necrostack/necrostack/migrations"
)

const (
	// oldest is the oldest server that will do, as server_version_num counts.
	oldest = 150000
	// connectTimeout is how long one attempt to connect may take, unless the DSN says otherwise.
	connectTimeout = 10 * time.Second
	// attempts is how often Open tries a server that is starting up or not there, with pauses that double from
	// firstPause: 3.1 s in all.
	attempts   = 6
	firstPause = 100 * time.Millisecond
)

// connect makes a pool. It does no I/O but to read the files that the DSN names.
func connect(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, badDSN(err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// badDSN says what is wrong with a DSN, without any of its text: what cannot be taken apart may hold a password
// anywhere.
func badDSN(err error) error {
	const advice = ": want postgres://user:password@host:port/database, where what is special in a URL is percent-encoded, " +
		"or host=… port=… dbname=… user=… password='…'"
	text := err.Error()
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		text = strings.TrimPrefix(text, "cannot parse `")
		// What follows the text of the DSN begins with one of a few fixed words.
		for _, what := range []string{
			"sslmode", "sslcertmode", "sslnegotiation", "sslrootcert", "connect_timeout", "target_session_attrs", "channel_binding",
			"require_auth", "port", "service", "pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime",
			"pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time", "pool_health_check_period", "pool_ping_timeout",
			"statement_cache_capacity", "description_cache_capacity", "default_query_exec_mode",
		} {
			cause := text[strings.LastIndex(text, "`")+1:]
			if strings.Contains(cause, what) && !strings.Contains(parse.ConnString, "`") && what != "port" {
				return errors.New("the DSN's " + what + " cannot be used")
			}
		}
	}
	return errors.New("the DSN cannot be read" + advice)
}
