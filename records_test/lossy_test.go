package records_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
)

// A session has a field that JSON leaves out.
type session struct {
	User  string
	token string
}

func fetchSession(context.Context, string) (session, error) { return session{"Ada", "s3cr3t"}, nil }

// The first caller got the token, and everybody else a session without one.
func TestValueThatJSONLosesAPartOfIsAWrongSetting(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	_, err := zodiac.TryNewLoader(fetchSession, zodiac.WithName("sessions"), zodiac.WithStore(store))
	setting, ok := errors.AsType[*zodiac.SettingError](err)
	if !ok || len(setting.Faults) != 1 {
		t.Fatalf("TryNewLoader = %v; want a SettingError of one fault", err)
	}
	for _, want := range []string{"WithStore: ", "session.token is not exported", "WithCodec", `json:"-"`, "MarshalJSON"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("TryNewLoader = %v; want it to say %q", err, want)
		}
	}
	if _, err := zodiac.TryNewCache[string, map[string]*session](zodiac.WithName("sessions"), zodiac.WithStore(store)); err == nil {
		t.Error("TryNewCache = nil; want an error for a map of such values")
	}
	l, err := zodiac.TryNewLoader(fetchSession)
	if err != nil {
		t.Fatalf("TryNewLoader in memory = %v", err)
	}
	if v, err := l.Get(context.Background(), "k"); v.token != "s3cr3t" || err != nil {
		t.Errorf("Get = %+v, %v", v, err)
	}
}

// picky is a codec that refuses a type.
type picky struct {
	zodiac.Codec
	asked []reflect.Type
	err   error
}

func (c *picky) Check(t reflect.Type) error {
	c.asked = append(c.asked, t)
	return c.err
}

func TestCodecIsAskedAboutTheTypeOfTheValues(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	make := func(c zodiac.Codec) error {
		l, err := zodiac.TryNewLoader(fetchSession, zodiac.WithName("sessions"), zodiac.WithStore(store), zodiac.WithCodec(c))
		if err == nil {
			err = l.Close(context.Background())
		}
		return err
	}
	c := &picky{Codec: renamedCodec{zodiac.JSON}}
	if err := make(c); err != nil || len(c.asked) != 1 || c.asked[0] != reflect.TypeFor[session]() {
		t.Errorf("TryNewLoader = %v, and has asked about %v; want once about the session", err, c.asked)
	}
	c.err = errors.New("no sessions")
	if err := make(c); !errors.Is(err, c.err) {
		t.Errorf("TryNewLoader = %v; want the codec's error", err)
	}
	if err := make(renamedCodec{zodiac.JSON}); err != nil {
		t.Errorf("TryNewLoader with a codec that does not check = %v", err)
	}
}
