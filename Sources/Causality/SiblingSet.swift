import Base
import Coding
public struct SiblingSet { public init(encoded: UnsafeRawBufferPointer) throws(DecodeError) { throw .truncated } }
