package zodiac

import (
	"errors"
	"strconv"
)

// WithName sets the name of the loader in errors, events and logs, and in the keys of a store. By
// default it is the import path and name of the fetch function,
// "import/path.(*Service).GetUser". Loaders in memory may share one; see also [WithStore].
func WithName(name string) Option {
	return option(func(c *config) {
		if name == "" {
			c.fault("WithName", errors.New("the name is empty"))
			return
		}
		c.name, c.nameGiven = name, true
	})
}

// IncludeReceiver adds the dynamic type of r to the loader's name. It is for a method value such as
// svc.GetUser, whose method may belong to a type that several others embed. Only the type counts,
// not which r it is.
func IncludeReceiver(r any) Option {
	return option(func(c *config) { c.receiver, c.receiverSet = r, true })
}

// WithVersion sets a version that is a part of the keys in a store: entries of another version are
// never read. 0 is a version like any other. In memory, where entries end with the process, the
// version only shows in the name. By default there is none.
func WithVersion[T int | string](version T) Option {
	return option(func(c *config) {
		switch v := any(version).(type) {
		case int:
			c.version = strconv.Itoa(v)
		case string:
			if v == "" {
				c.fault("WithVersion", errors.New("the version is empty"))
			}
			c.version = v
		}
	})
}

// WithKey makes the text of keys by hand. Keys of the same text are the same key. text runs on the
// caller's goroutine at every call, hits included. By default the text is made of all fields of K;
// the package comment says which K have a text.
func WithKey[K comparable](text func(K) string) Option {
	return function("WithKey", text, func(c *config) *any { return &c.key })
}
