package sagas

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// address says which attempt of which instance something is for: it is Metadata.ReplyTo of all that follows from it.
type address struct {
	saga, instance, step string
	cycle                int
	undo                 bool
}

func (a address) String() string {
	verb := "do"
	if a.undo {
		verb = "undo"
	}
	return string(stream(a.saga, a.instance)) + "/" + a.step + "/" + strconv.Itoa(a.cycle) + "/" + verb
}

// addressOf reads an address of a saga. An instance's id may hold slashes; what follows it does not.
func addressOf(saga, text string) (a address, ok bool) {
	text, ok = strings.CutPrefix(text, category(saga)+"-")
	if !ok {
		return a, false
	}
	var parts [3]string
	for i := range parts {
		k := strings.LastIndexByte(text, '/')
		if k < 0 {
			return a, false
		}
		text, parts[i] = text[:k], text[k+1:]
	}
	cycle, err := strconv.Atoi(parts[1])
	a = address{saga, text, parts[2], cycle, parts[0] == "undo"}
	return a, err == nil && text != "" && (a.undo || parts[0] == "do")
}

// ids is the name space of the ids of what sagas send.
var ids = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/necrostack/necrostack/sagas"))

// id is that of the command or call that an address is for: the UUIDv5 (RFC 9562) of the address.
func (a address) id() uuid.UUID { return uuid.NewSHA1(ids, []byte(a.String())) }
