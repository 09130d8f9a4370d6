package records_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest/chaos"
)

var (
	errDown  = errors.New("down")
	errQuota = errors.New("no quota")
)

// failures are two processes over one store whose fetch fails.
func failures(t *testing.T, err error, opt zodiac.Option, test func(here, there *zodiac.Loader[string, account1], fetches *int)) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		fetches := 0
		load := func(s zodiac.Store) *zodiac.Loader[string, account1] {
			return zodiac.NewLoader(func(context.Context, string) (account1, error) {
				fetches++
				return account1{}, err
			}, zodiac.WithName("accounts"), zodiac.WithStore(s), opt)
		}
		here, there := load(store), load(chaos.New(store).Store())
		test(here, there, &fetches)
		_ = here.Close(context.Background())
		_ = there.Close(context.Background())
		_ = store.Close()
	})
}

func get(l *zodiac.Loader[string, account1]) error {
	_, err := l.Get(context.Background(), "k")
	return err
}

// errors.Is was false in the very process that had fetched.
func TestRememberedErrorIsTheVeryErrorInItsProcess(t *testing.T) {
	origin := fmt.Errorf("origin: %w", errDown)
	failures(t, origin, zodiac.WithErrorTTL(60), func(here, there *zodiac.Loader[string, account1], fetches *int) {
		_ = get(here)
		if err := get(here); !errors.Is(err, origin) || !errors.Is(err, errDown) || !errors.Is(err, zodiac.ErrRemembered) {
			t.Errorf("Get = %v; want the very error, remembered", err)
		}
		err := get(there)
		if !errors.Is(err, zodiac.ErrRemembered) || errors.Is(err, errDown) || err.Error() != "zodiac: remembered: origin: down" {
			t.Errorf("Get elsewhere = %v; want the text, remembered", err)
		}
		if *fetches != 1 {
			t.Errorf("%d fetches; want 1", *fetches)
		}
	})
}

func TestNamedErrorIsRememberedAsItselfEverywhere(t *testing.T) {
	opt := zodiac.WithErrorTTL(60, errQuota, errDown)
	failures(t, fmt.Errorf("origin: %w", errDown), opt, func(here, there *zodiac.Loader[string, account1], fetches *int) {
		_ = get(here)
		err := get(there)
		if !errors.Is(err, errDown) || errors.Is(err, errQuota) || err.Error() != "zodiac: remembered: origin: down" || *fetches != 1 {
			t.Errorf("Get elsewhere = %v after %d fetches; want the named error with its text", err, *fetches)
		}
	})
	failures(t, errors.New("other"), opt, func(here, there *zodiac.Loader[string, account1], fetches *int) {
		_, _, _ = get(here), get(here), get(there)
		if *fetches != 3 {
			t.Errorf("%d fetches of an error that is not named; want 3", *fetches)
		}
	})
}

func TestErrorsOfOneTextAreAWrongSetting(t *testing.T) {
	for name, opt := range map[string]zodiac.Option{
		"NoneIf":                zodiac.NoneIf(errDown, errors.New("down")),
		"NoneIf-twice":          zodiac.Options{zodiac.NoneIf(errDown), zodiac.NoneIf(errors.New("down"))},
		"WithErrorTTL":          zodiac.WithErrorTTL(1, errDown, errors.New("down")),
		"WithErrorTTL-nil":      zodiac.WithErrorTTL(1, errDown, nil),
		"WithErrorTTL-only-nil": zodiac.WithErrorTTL(1, error(nil)),
	} {
		if _, err := zodiac.TryNewCache[string, account1](opt); err == nil {
			t.Errorf("%s: TryNewCache = nil; want an error", name)
		}
	}
	if _, err := zodiac.TryNewCache[string, account1](zodiac.NoneIf(errDown, errQuota, errDown), zodiac.WithErrorTTL(1, errDown)); err != nil {
		t.Errorf("TryNewCache with one error twice = %v", err)
	}
}

func TestErrorThatIsNotNamedIsNotRememberedInMemory(t *testing.T) {
	fetches := 0
	l := zodiac.NewLoader(func(context.Context, string) (account1, error) {
		fetches++
		return account1{}, errors.New("other")
	}, zodiac.WithErrorTTL(60, errDown))
	if _, _ = get(l), get(l); fetches != 2 {
		t.Errorf("%d fetches; want 2", fetches)
	}
}
