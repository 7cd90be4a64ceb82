package launch

import "strings"

// RedisNode returns the product Redis, for one of several servers that work together: they have one password, and know
// each other by the addresses at which their clients reach them. Settings are as those of Redis.
func RedisNode(password string, settings ...string) Product {
	product := Redis(append([]string{"masterauth " + password}, settings...)...)
	product.Password = password
	product.Container.Host = true
	return product
}

// Sentinel returns the product Redis Sentinel, which watches over a primary at addr, under a name, and its replicas. It
// takes quorum of the Sentinels that watch over it to say that it is gone, which they do after three seconds: less would be
// taken for an end on a busy machine. They trust everybody who can reach them.
func Sentinel(name, addr, password, quorum string) Product {
	product := redisProgram("sentinel.conf", "--sentinel")
	product.Name = "sentinel"
	product.Container.Host = true
	product.DSN = func(addr, _ string) string { return "redis://" + addr }
	product.Ping = Redis().Ping
	product.Files = func(place Place) map[string]string {
		return map[string]string{"sentinel.conf": strings.Join([]string{
			"bind " + place.Host, "port " + place.Port, "dir " + place.Data,
			"sentinel monitor " + name + " " + strings.Replace(addr, ":", " ", 1) + " " + quorum,
			"sentinel auth-pass " + name + " " + password,
			"sentinel down-after-milliseconds " + name + " 3000",
			"sentinel failover-timeout " + name + " 10000",
			"",
		}, "\n")}
	}
	return product
}
