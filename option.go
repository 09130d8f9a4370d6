package zodiac

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// An Option is a setting of a Loader or a Cache. A later option replaces an earlier one of the same
// kind, except where the comment of the option says that they add up. All wrong settings are
// reported together when the Loader is made.
type Option interface {
	apply(*config)
}

// Options is a list of options that is itself an Option.
type Options []Option

func (o Options) apply(c *config) {
	for i, opt := range o {
		if opt == nil {
			c.fault("Options", fmt.Errorf("option %d of %d is nil", i+1, len(o)))
			continue
		}
		opt.apply(c)
	}
}

// A SetOption is a setting of one call of Set, SetMany, SetNone, SetIfAbsent or Touch. Given to a
// constructor it is for all calls: a lifetime applies unless the call has one of its own, and tags
// are added to those of the call.
type SetOption interface {
	Option
	applySet(*setting)
}

// A setting is the sum of the SetOptions of one call.
type setting struct {
	ttl    time.Duration // 0 = not given
	tags   []string
	faults []error
}

func settingOf(opts []SetOption) setting {
	var s setting
	for i, o := range opts {
		if o == nil {
			s.faults = append(s.faults, fmt.Errorf("option %d of %d is nil", i+1, len(opts)))
			continue
		}
		o.applySet(&s)
	}
	return s
}

// option is an Option that is a function.
type option func(*config)

func (o option) apply(c *config) { o(c) }

// periodOption returns an option that stores a Period in a field.
func periodOption[P Period](name string, p P, field func(*config) *time.Duration) Option {
	return option(func(c *config) {
		d, err := duration(p)
		if err != nil {
			c.fault(name, err)
			return
		}
		*field(c) = d
	})
}

// function returns an option that stores a function in a field.
func function(name string, fn any, field func(*config) *any) Option {
	return option(func(c *config) {
		if reflect.ValueOf(fn).IsNil() {
			c.fault(name, errors.New("the function is nil"))
			return
		}
		*field(c) = fn
	})
}
