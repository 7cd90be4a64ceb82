package launch_test

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/necrostack/necrostack/internal/testenv/launch"
)

// A kind is a product, and what is expected of it.
type kind struct {
	product   launch.Product
	processes int // that a server has at least
	dial      func(ctx context.Context, dsn string) (client, error)

	faulty  launch.Product // with a setting that no server takes
	says    string         // what the log says then
	nowhere string         // a DSN of a server that is not there, with the password "secret"
}

// A client is one connection to a server.
type client interface {
	Ping(ctx context.Context) error
	Count(ctx context.Context) (int64, error) // how often Add was called
	Add(ctx context.Context) error
	Close(ctx context.Context) error
}

func kinds() []kind {
	faulty := launch.Postgres()
	serve := faulty.Process.Serve
	faulty.Process.Serve = func(data, port string) []string { return append(serve(data, port), "--no_such_setting=1") }
	faulty.Container.Command = []string{"postgres", "--no_such_setting=1"}
	return []kind{
		{
			product: launch.Postgres(), processes: 2, dial: dialPostgres,
			faulty: faulty, says: `unrecognized configuration parameter "no_such_setting"`,
			nowhere: "postgres://ada:secret@127.0.0.1:1/db",
		},
		{
			product: launch.Redis(), processes: 1, dial: dialRedis,
			faulty: launch.Redis("no-such-setting 1"), says: `>>> 'no-such-setting 1'`,
			nowhere: "redis://ada:secret@127.0.0.1:1/0",
		},
	}
}

type postgresClient struct{ *pgx.Conn }

func dialPostgres(ctx context.Context, dsn string) (client, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS kept (n bigint)")
	return postgresClient{conn}, err
}

func (c postgresClient) Add(ctx context.Context) error {
	_, err := c.Exec(ctx, "INSERT INTO kept VALUES (1)")
	return err
}

func (c postgresClient) Count(ctx context.Context) (n int64, err error) {
	err = c.QueryRow(ctx, "SELECT count(*) FROM kept").Scan(&n)
	return n, err
}

type redisClient struct {
	pool *redis.Client
	conn *redis.Conn
}

func dialRedis(ctx context.Context, dsn string) (client, error) {
	options, err := launch.RedisOptions(dsn)
	if err != nil {
		return nil, err
	}
	options.MaxRetries, options.ContextTimeoutEnabled = -1, true
	pool := redis.NewClient(options)
	c := redisClient{pool, pool.Conn()}
	if err := c.Ping(ctx); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

func (c redisClient) Ping(ctx context.Context) error { return c.conn.Ping(ctx).Err() }

func (c redisClient) Add(ctx context.Context) error { return c.conn.Incr(ctx, "kept").Err() }

func (c redisClient) Count(ctx context.Context) (int64, error) {
	return c.conn.Get(ctx, "kept").Int64()
}

func (c redisClient) Close(context.Context) error { return errors.Join(c.conn.Close(), c.pool.Close()) }
