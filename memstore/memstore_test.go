package memstore_test

import (
	"testing"

	"github.com/zodiac-go/zodiac"
	"github.com/zodiac-go/zodiac/memstore"
	"github.com/zodiac-go/zodiac/storetest"
)

func open(*testing.T) zodiac.Store { return memstore.New() }

func TestConformance(t *testing.T) { storetest.RunVirtual(t, open) }

func TestConformanceInRealTime(t *testing.T) { storetest.Run(t, open) }
