package redisstore

import (
	"errors"
	"fmt"
	"strings"
)

// The texts of the package's own errors begin with this prefix, once.
const errPrefix = "redisstore: "

var (
	errClosed = errors.New("redisstore: the store is closed")
	errReply  = errors.New("redisstore: the server's reply has an unexpected form")
	errTTL    = errors.New("redisstore: the time to live is less than a millisecond")
	errLease  = errors.New("redisstore: a lease cannot last for ever, since it would outlive its holder; " +
		"take a short one and renew it")

	errClientCache = errors.New("redisstore: the client's own cache may return deleted records; " +
		"leave out ClientSideCacheConfig, and use zodiac.WithMemory for memory in front of the store")
	errClientReplicas = errors.New("redisstore: replicas may return deleted records; " +
		"leave out ReadOnly, RouteByLatency and RouteRandomly")
)

// A hintFor says what to do about errors of the server that begin with a word.
type hintFor struct{ word, hint string }

var hints = []hintFor{
	{"READONLY", "this is a replica: use the address of the master, or redis+sentinel://"},
	{"NOPERM", "the user needs get, mget, pttl, time, scan, info, ping, eval, evalsha, getrange, " +
		"setrange, set, strlen, del, pexpireat, persist, publish and subscribe (on a Cluster " +
		"spublish and ssubscribe), on the keys and channels zodiac:* and the store's channel"},
	{"NOAUTH", "give the client a user name and password"},
	{"WRONGPASS", "the user name or the password is wrong"},
	{"OOM", "the server is full: raise maxmemory, or set maxmemory-policy to volatile-lru or the like"},
	{"LOADING", "the server is still loading its data; try again later"},
	{"MOVED", "another node of the Cluster has the key: use a cluster client, or " +
		"redis+cluster://, which follows up to max_redirects"},
	{"CLUSTERDOWN", "the Cluster has slots that no node serves"},
	{"MISCONF", "the server cannot save to disk, so it refuses writes"},
}

// explain adds a hint to an error of the server that has one. errors.Is and errors.As still find
// the original. An error that was explained before is returned as it is.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if strings.HasPrefix(text, errPrefix) {
		return err
	}
	for _, h := range hints {
		if strings.HasPrefix(text, h.word) || h.word == "NOPERM" && isDeniedInScript(text) {
			return fmt.Errorf("redisstore: %w (%s)", err, h.hint)
		}
	}
	return err
}

// isDeniedInScript reports whether the server refused a command of a script for lack of rights.
// That error does not begin with NOPERM. Redis 7.0 words it in another way than later releases.
func isDeniedInScript(text string) bool {
	return strings.Contains(text, "ACL failure in script") ||
		strings.Contains(text, "The user executing the script can't")
}

// A partialError says how many of several commands have failed, and why. errors.Is and errors.As
// find each of the reasons.
type partialError struct {
	failed, all int
	what        string  // what the commands were for: "keys"
	reasons     []error // no two have the same text
}

// partial returns the error for errs, which come from some of n commands for what. It returns nil
// if errs is empty. Reasons with the same text are kept once.
func partial(what string, n int, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	e := &partialError{failed: len(errs), all: n, what: what}
	seen := map[string]bool{}
	for _, err := range errs {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			e.reasons = append(e.reasons, err)
		}
	}
	return e
}

// Error returns the reasons in one line, without the prefix that the line itself has.
func (e *partialError) Error() string {
	texts := make([]string, len(e.reasons))
	for i, err := range e.reasons {
		texts[i] = strings.TrimPrefix(err.Error(), errPrefix)
	}
	return fmt.Sprintf("redisstore: %d of %d %s failed: %s", e.failed, e.all, e.what, strings.Join(texts, "; "))
}

func (e *partialError) Unwrap() []error { return e.reasons }
