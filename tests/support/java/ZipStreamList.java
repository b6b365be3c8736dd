import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/**
 * Reads a ZIP archive from stdin, as a stream, and writes its members to stdout for readers.py.
 *
 * A member is: length of its name (int), its name (UTF-8), then its content in pieces, each a
 * length (int) and that many bytes. A piece of length 0 ends the member. Whatever is wrong with the
 * archive ends the program with a stack trace and exit status 1.
 */
public class ZipStreamList {
    public static void main(String[] arguments) throws IOException {
        // Not System.out: a PrintStream keeps quiet about a failed write.
        DataOutputStream out = new DataOutputStream(
                new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        ZipInputStream archive = new ZipInputStream(new BufferedInputStream(System.in));
        byte[] piece = new byte[65536];
        ZipEntry member;
        while ((member = archive.getNextEntry()) != null) {
            byte[] name = member.getName().getBytes(StandardCharsets.UTF_8);
            out.writeInt(name.length);
            out.write(name);
            int length;
            while ((length = archive.read(piece)) != -1) {
                if (length > 0) {
                    out.writeInt(length);
                    out.write(piece, 0, length);
                }
            }
            out.writeInt(0);
        }
        // What follows the last member (the central directory) is read and not looked at.
        while (System.in.read(piece) != -1) {}
        out.flush();
    }
}
