package capture

/*
#include <linux/videodev2.h>

// a menu's item: an integer menu's value lies where another one's name does
static long long item_value(const struct v4l2_querymenu *m) { return m->value; }
static const unsigned char *item_name(const struct v4l2_querymenu *m) { return m->name; }
*/
import "C"

import (
	"strconv"
	"unsafe"
)

// controls lists the camera's controls. It opens the node once more, which is
// possible while pictures are read, so that neither waits for the other.
func (c *v4l2Camera) controls() ([]Control, error) {
	n, err := openV4L2(c.path)
	if err != nil {
		return nil, err
	}
	defer n.close()
	var all []Control
	for id := C.uint(0); ; {
		q := C.struct_v4l2_queryctrl{id: id | C.V4L2_CTRL_FLAG_NEXT_CTRL}
		if n.ioctl(C.VIDIOC_QUERYCTRL, unsafe.Pointer(&q)) != nil {
			return all, nil
		}
		id = q.id
		if control, ok := n.control(&q); ok {
			all = append(all, control)
		}
	}
}

// setControl sets what controls lists by that name.
func (c *v4l2Camera) setControl(name string, value int) error {
	n, err := openV4L2(c.path)
	if err != nil {
		return err
	}
	defer n.close()
	for id := C.uint(0); ; {
		q := C.struct_v4l2_queryctrl{id: id | C.V4L2_CTRL_FLAG_NEXT_CTRL}
		if err := n.ioctl(C.VIDIOC_QUERYCTRL, unsafe.Pointer(&q)); err != nil {
			return err
		}
		if id = q.id; controlName(cString(q.name[:])) != name {
			continue
		}
		v := C.struct_v4l2_control{id: id, value: C.int(value)}
		return n.ioctl(C.VIDIOC_S_CTRL, unsafe.Pointer(&v))
	}
}

// control describes one; ok is false for what cannot be set by a number.
func (n *v4l2Node) control(q *C.struct_v4l2_queryctrl) (c Control, ok bool) {
	kind := map[C.uint]string{
		C.V4L2_CTRL_TYPE_INTEGER:      ControlInteger,
		C.V4L2_CTRL_TYPE_BOOLEAN:      ControlBoolean,
		C.V4L2_CTRL_TYPE_MENU:         ControlMenu,
		C.V4L2_CTRL_TYPE_INTEGER_MENU: ControlMenu,
		C.V4L2_CTRL_TYPE_BUTTON:       ControlButton,
	}[q._type]
	if kind == "" || q.flags&C.V4L2_CTRL_FLAG_DISABLED != 0 {
		return c, false
	}
	c = Control{
		Name: controlName(cString(q.name[:])), Kind: kind,
		Min: int(q.minimum), Max: int(q.maximum), Step: int(q.step), Default: int(q.default_value),
		Inactive: q.flags&C.V4L2_CTRL_FLAG_INACTIVE != 0, ReadOnly: q.flags&C.V4L2_CTRL_FLAG_READ_ONLY != 0,
	}
	if kind != ControlButton {
		v := C.struct_v4l2_control{id: q.id}
		if n.ioctl(C.VIDIOC_G_CTRL, unsafe.Pointer(&v)) == nil {
			c.Value = int(v.value)
		}
	}
	for i := c.Min; kind == ControlMenu && i <= c.Max; i++ {
		m := C.struct_v4l2_querymenu{id: q.id, index: C.uint(i)}
		if n.ioctl(C.VIDIOC_QUERYMENU, unsafe.Pointer(&m)) != nil {
			continue // a gap
		}
		if q._type == C.V4L2_CTRL_TYPE_INTEGER_MENU {
			c.Menu = append(c.Menu, ControlItem{i, strconv.FormatInt(int64(C.item_value(&m)), 10)})
		} else {
			c.Menu = append(c.Menu, ControlItem{i, cString(unsafe.Slice((*C.uchar)(C.item_name(&m)), 32))})
		}
	}
	return c, true
}
