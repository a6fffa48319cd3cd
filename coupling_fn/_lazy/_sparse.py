"""The sparse matrices of JAX, without loading them.

`jax.experimental.sparse` loads SciPy's solvers, which takes a quarter as long as JAX itself. A value of
its classes is only there where somebody has loaded it already, so until then nothing is one.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO as BCOO
    from jax.experimental.sparse import BCSR as BCSR
    from jax.experimental.sparse import JAXSparse as JAXSparse
else:

    class _Later(type):
        """The class of a stand-in, whose instances are those of the class of its name in JAX."""

        def there(cls) -> tuple[type, ...]:
            """Return the class of JAX, if it is loaded."""
            sparse = sys.modules.get("jax.experimental.sparse")
            return (getattr(sparse, cls.__name__),) if hasattr(sparse, cls.__name__) else ()

        def __instancecheck__(cls, x: object) -> bool:
            return isinstance(x, cls.there())

        # `functools.singledispatch` asks this, and so takes a stand-in for the class.
        def __subclasscheck__(cls, other: type) -> bool:
            return other is cls or issubclass(other, cls.there())

        def __call__(cls, *args: Any, **options: Any) -> Any:
            """Make a matrix of JAX's class, which is loaded now."""
            from jax.experimental import sparse

            return getattr(sparse, cls.__name__)(*args, **options)

    class BCOO(metaclass=_Later):
        """Stands for `jax.experimental.sparse.BCOO`."""

    class BCSR(metaclass=_Later):
        """Stands for `jax.experimental.sparse.BCSR`."""

    class JAXSparse(metaclass=_Later):
        """Stands for `jax.experimental.sparse.JAXSparse`."""
